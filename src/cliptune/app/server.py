"""Serve the page on an address until the process is interrupted."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cliptune.app.page import CSS, Page, build_page
from cliptune.serving.server import run_server

#: Fonts of the system; those of Gradio's themes are loaded from another host.
FONT, MONOSPACE = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")
#: Largest number of requests that wait for each function of the page.
MAX_WAITING = 32


def serve_page(page: Page, title: str, bound: socket.socket, ready: Callable[[], Any]) -> None:
    """Serve the page until the process is interrupted (Ctrl-C). Uploads are deleted in the end.

    Args:
        page: The functions of the page.
        title: Its heading.
        bound: The socket, which is closed in the end.
        ready: Called when everything is loaded.
    """
    with private_gradio():
        run_server(build_application(page, title), bound, ready)


def build_application(page: Page, title: str) -> Any:
    """The page as an ASGI application that loads nothing from other hosts."""
    import gradio as gr
    from fastapi import FastAPI
    from gradio.themes import Default

    blocks = build_page(page, title).queue(max_size=MAX_WAITING)
    return gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path="/",
        max_file_size=page.comparison.limits.file_bytes,
        theme=Default(font=FONT, font_mono=MONOSPACE),
        css=CSS,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
    )


@contextmanager
def private_gradio() -> Iterator[None]:
    """Uploads in a temporary folder that is deleted after the block, and no statistics sent to Gradio."""
    with tempfile.TemporaryDirectory(prefix="cliptune-app-", ignore_cleanup_errors=True) as folder:
        settings = {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
