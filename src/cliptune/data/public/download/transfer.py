"""One URL to one file: goes on where it was cut, checked, and under its name only when whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import TypeVar

from cliptune.data.public.download.disk import check_free_space, disk_errors, format_bytes
from cliptune.errors import UserError

T = TypeVar("T")
#: Told as work goes on: what, how many bytes are done, of how many (None where nobody knows).
ProgressCallback = Callable[[str, int, int | None], None]
#: Attempts in a row that bring nothing new before it gives up.
TRIES = 5
#: Seconds before the second attempt; twice as many before each later one.
PAUSE = 1.0
TIMEOUT = 30.0
BLOCK = 1 << 18


class ConnectionLost(Exception):
    """The connection failed in a way that another try may mend."""


class NotAvailable(UserError):
    """What a server does not give: another place may have it."""


def fetch(
    url: str,
    target: Path,
    *,
    digest: str = "",
    watch: ProgressCallback = lambda what, done, total: None,
) -> None:
    """Bring `url` to `target`. What has come is in `target` + ".part", from where this or a later call goes on.

    digest: "md5:..." or "sha256:..." of the whole file, where known.
    Raises `NotHad` where the server refuses, answers with a web page, stays unreachable or sends what has another
    digest (that file is removed), and `UserError` where the disk is full or cannot be written.
    """
    part = target.with_name(target.name + ".part")
    retry(lambda: _go_on(url, part, watch, tagged=not digest), lambda: _size(part), f"{url} cannot be had")
    _tag(part).unlink(missing_ok=True)
    check_digest(part, digest, target.name, watch)
    with disk_errors(target):
        os.replace(part, target)


def retry(attempt: Callable[[], T], reached: Callable[[], int], failure: str, tries: int = TRIES) -> T:
    """What `attempt` returns once it raises no `Cut`; after `tries` in a row that got no further, raise `NotHad`.

    reached: how many bytes are there. failure: the beginning of the sentence.
    """
    best, failed = reached(), 0
    while True:
        try:
            return attempt()
        except ConnectionLost as cut:
            failed = failed + 1 if reached() <= best else 1
            best = max(best, reached())
            if failed >= tries:
                kept = f"; {format_bytes(best)} are kept, and the same command goes on there" if best else ""
                raise NotAvailable(f"{failure}: {cut}{kept}") from None
        time.sleep(PAUSE * 2 ** (failed - 1))


def check_digest(path: Path, digest: str, name: str, watch: ProgressCallback = lambda what, done, total: None) -> None:
    """Compare a file with its digest. Raises `NotHad` and removes the file where they differ."""
    if not digest:
        return
    kind, _, expected = digest.partition(":")
    hashed, total, done = hashlib.new(kind, usedforsecurity=False), _size(path), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            hashed.update(block)
            watch(f"checking {name}", done := done + len(block), total)
    if hashed.hexdigest() != expected:
        path.unlink()
        raise NotAvailable(f"{name} came with {kind} {hashed.hexdigest()}, expected {expected}; it was removed")


def _go_on(url: str, part: Path, watch: ProgressCallback, tagged: bool) -> None:
    """Ask for what is missing and append it to `part`. Raises `Cut` or `UserError`.

    tagged: heed the server's tag of the file's version; a digest tells versions apart more surely.
    """
    have = _size(part)
    with _open(url, have, _tag(part)) as answer:
        if answer.status == 416:  # asked for what lies behind the end
            if answer.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            part.unlink()
            raise ConnectionLost("the file there has another length than before")
        if answer.headers.get_content_type() == "text/html":
            raise NotAvailable(f"{url} answers with a web page in place of the file: it moved, or wants a login")
        span = re.match(rf"bytes {have}-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if answer.status != 206 or span is None:  # the server starts over, and so must the file
            have = 0
        length = span[1] if span and have else answer.headers.get("Content-Length")
        total = int(length) if length else None
        check_free_space(part.parent, (total or 0) - have, part.name.removesuffix(".part"))
        with disk_errors(part):
            if tagged:
                _note(_tag(part), answer.headers)
            file = part.open("ab" if have else "wb")
        with file:
            while True:
                with _cuts():
                    block = answer.read(BLOCK)
                if not block:
                    break
                with disk_errors(part):
                    file.write(block)
                    file.flush()
                have += len(block)
                watch(part.name.removesuffix(".part"), have, total)
    if total is not None and have != total:
        raise ConnectionLost(f"the connection ended after {have:,} of {total:,} bytes")


def _open(url: str, have: int, tag: Path) -> http.client.HTTPResponse:
    from cliptune import __version__

    headers = {"User-Agent": f"cliptune/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag.is_file():  # a file that has changed since comes whole
            headers["If-Range"] = tag.read_text(encoding="utf-8")
    try:
        with _cuts():
            return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return error  # type: ignore[return-value]  # an answer like others, with status and headers
        error.close()
        meaning = {404: "not there", 410: "no longer there", 403: "refused", 401: "wants a login"}
        raise NotAvailable(f"{url}: {meaning.get(error.code, error.reason)} ({error.code})") from None


@contextmanager
def _cuts() -> Iterator[None]:
    """Turn what may be better the next time into `Cut`; refusals of the server pass as they are."""
    try:
        yield
    except urllib.error.HTTPError as error:
        if error.code in (408, 425, 429) or error.code >= 500:
            error.close()
            raise ConnectionLost(f"the server says {error.code} {error.reason}") from error
        raise
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise NotAvailable(f"the server's certificate does not hold: {error.reason.verify_message}") from None
        raise ConnectionLost(f"no answer ({error.reason}); is there a network?") from error
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionLost(f"the connection was cut ({error or type(error).__name__})") from error


def _note(tag: Path, headers: Message) -> None:
    """Keep what tells this version of the file from a later one, if the server says it."""
    etag = headers.get("ETag", "")
    known = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
    if known:
        tag.write_text(known, encoding="utf-8")
    else:
        tag.unlink(missing_ok=True)


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
