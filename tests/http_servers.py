"""A server of small files with configurable faults."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from dataclasses import dataclass, field

import pytest

from cliptune.data.public.common.recipe import COLLECTION
from cliptune.data.public.download import transfer


@dataclass
class Site:
    """The files of the server, its faults, and the requests it received."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    kind: str = "application/octet-stream"
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """After how many bytes each of the next answers ends."""
    statuses: list[int] = field(default_factory=list)
    """What each of the next requests is answered with."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range of each request."""


@pytest.fixture
def site(monkeypatch):
    """A running server."""
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.answer()

        def do_HEAD(self):
            self.answer()

        def answer(self):
            path, span = self.path.partition("?")[0], self.headers.get("Range", "")
            site.asked.append((self.command, path, span))
            status = site.statuses.pop(0) if site.statuses else 200
            if path not in site.files:
                status = 404
            body = site.files.get(path, b"") if status == 200 else b""
            etag = site.headers.get(path, {}).get("ETag")
            start = re.match(r"bytes=(\d+)-", span)
            fits = self.headers.get("If-Range") in (None, etag)
            if status == 200 and start and site.ranges and fits:
                first, total = int(start[1]), len(body)
                status, body = (206, body[first:]) if first < total else (416, b"")
            self.send_response(status)
            if status in (206, 416):
                named = f"{first}-{total - 1}" if status == 206 else "*"
                self.send_header("Content-Range", f"bytes {named}/{total}")
            self.send_header("Content-Type", site.kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in site.headers.get(path, {}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            cut = site.cuts.pop(0) if site.cuts and status in (200, 206) else len(body)
            self.wfile.write(body[:cut])
            if cut < len(body):
                self.close_connection = True

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):  # some tests hang up on purpose
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hub(site):
    """A function that adds an archive to the collection, with the answers of the hub's server."""
    shown: list[dict] = []
    tree = f"/api/models/{COLLECTION}/tree/main"

    def add(name: str, content: bytes, sha256: str = "") -> Site:
        digest = sha256 or hashlib.sha256(content).hexdigest()
        lfs = {"oid": digest, "size": len(content), "pointerSize": 134}
        shown.append({"type": "file", "oid": "0" * 40, "size": len(content), "path": name, "lfs": lfs})
        site.files[tree] = json.dumps(shown).encode()
        path = f"/{COLLECTION}/resolve/main/{name}"
        site.files[path] = content
        site.headers[path] = {"ETag": f'"{digest}"', "X-Repo-Commit": "c" * 40, "X-Linked-Etag": f'"{digest}"'}
        return site

    return add
