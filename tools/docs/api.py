"""A mkdocs hook that writes the API reference: every public Python name and every entry of every registry.

An object that another page documents is listed with a link; the others are documented on the page itself.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cliptune as ct
from cliptune import coresets, masks, methods, protocols, runners
from cliptune.data import sources

DOCS = Path(__file__).parents[2] / "docs"
PAGE = "api.md"


def sections() -> dict[str, dict[str, Any]]:
    """Title -> name -> the documented object."""
    kinds = {name: methods.get(name) for name in methods.names()}
    return {
        "Python": {name: getattr(ct, name) for name in ct.__all__},
        "Methods": {name: kind for name, kind in kinds.items() if not methods.is_wrapper(kind)},
        "Wrappers": {name: kind for name, kind in kinds.items() if methods.is_wrapper(kind)},
        "Mask sources": {name: _import(f"cliptune.masks.{entry.target}") for name, entry in masks.SOURCES.items()},
        "Datasets": {name: sources.dataset_class(name) for name in sources.names()},
        "Protocols": {name: protocols.get(name) for name in protocols.names()},
        "Coreset methods": {name: coresets.get(name) for name in coresets.names()},
        "Runners": {name: runners.get(name) for name in runners.REGISTRY.names()},
    }


def reference(elsewhere: Iterable[str]) -> str:
    """The sections in Markdown. elsewhere: paths of objects that other pages document."""
    return "\n".join(_section(title, entries, {*elsewhere}) for title, entries in sections().items())


def documented_elsewhere() -> list[str]:
    """Paths of the objects that the other pages document."""
    pages = (page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")) if page.name != PAGE)
    return [path for page in pages for path in re.findall(r"^::: (\S+)", page, re.MULTILINE)]


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Append the reference to its page; called by mkdocs."""
    return f"{markdown}\n{reference(documented_elsewhere())}" if page.file.src_uri == PAGE else markdown


def _section(title: str, entries: Mapping[str, Any], elsewhere: set[str]) -> str:
    links, blocks = [], []
    for name, entry in entries.items():
        path = f"{entry.__module__}.{entry.__qualname__}"
        if path in elsewhere:
            links.append(f"- [`{name}`][{path}]: {_summary(entry)}")
        else:
            blocks.append(f'::: {path}\n    options: {{heading: "{name}", toc_label: "{name}", members: false}}\n')
    return "\n".join([f"## {title}", "", *links, "", *blocks])


def _summary(entry: Any) -> str:
    return " ".join((entry.__doc__ or "").strip().partition("\n\n")[0].split())


def _import(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
