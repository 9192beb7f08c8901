"""A client of HTTP servers of this machine: multipart forms and JSON answers."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit


def get(url: str) -> tuple[int, Any]:
    """Status and JSON of a GET request."""
    return request(url, "GET")


def post(url: str, files: Sequence[tuple[str, bytes]] = (), **fields: Any) -> tuple[int, Any]:
    """Status and JSON of a form with files, by name, in the field "images"; values of `fields` may be lists."""
    body, kind = form(files, **fields)
    return request(url, "POST", body, {"Content-Type": kind})


def form(files: Sequence[tuple[str, bytes]] = (), **fields: Any) -> tuple[bytes, str]:
    """A multipart body and its content type."""
    mark, parts = secrets.token_hex(8), []
    for name, content in files:
        parts.append((f'name="images"; filename="{name}"\r\nContent-Type: application/octet-stream', content))
    for name, values in fields.items():
        for value in values if isinstance(values, list | tuple) else [values]:
            parts.append((f'name="{name}"', str(value).encode()))
    body = b"".join(
        f"--{mark}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    )
    return body + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def request(url: str, method: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and content of an answer: JSON decoded, other text as it is."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=300)
    try:
        connection.request(method, place.path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read().decode()
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        return answer.status, json.loads(content) if is_json else content
    finally:
        connection.close()
