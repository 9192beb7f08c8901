"""Download a URL to a file: resumed after interruptions, checked, and renamed only when complete."""

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
#: Called with a description, the number of bytes done, and their total (None if unknown).
ProgressCallback = Callable[[str, int, int | None], None]
#: Attempts in a row without progress before giving up.
TRIES = 5
#: Seconds before the second attempt; doubled before each later one.
PAUSE = 1.0
TIMEOUT = 30.0
BLOCK = 1 << 18


class ConnectionLost(Exception):
    """The connection failed; another attempt may succeed."""


class NotAvailable(UserError):
    """The server does not have the file; another source may."""


def no_progress(what: str, done: int, total: int | None) -> None:
    """A `ProgressCallback` that does nothing."""


def fetch(
    url: str,
    target: Path,
    *,
    digest: str = "",
    progress: ProgressCallback = no_progress,
) -> None:
    """Download `url` to `target`. The partial file is `target` + ".part"; this or a later call resumes from it.

    Args:
        url: The file's URL.
        target: The path to write.
        digest: "md5:..." or "sha256:..." of the whole file, if known.
        progress: Called as bytes arrive.

    Raises:
        NotAvailable: If the server refuses, answers with a web page, is unreachable, or sends a file with another
            digest (which is removed).
        UserError: If the disk is full or cannot be written.
    """
    part = target.with_name(target.name + ".part")
    retry(lambda: _resume(url, part, progress, tagged=not digest), lambda: _size(part), f"cannot download {url}")
    _tag(part).unlink(missing_ok=True)
    check_digest(part, digest, target.name, progress)
    with disk_errors(target):
        os.replace(part, target)


def read_answer(url: str) -> tuple[bytes, Message]:
    """The content and the headers of a small answer. Raises `NotAvailable` as `fetch` does."""

    def attempt() -> tuple[bytes, Message]:
        with _open(url, {}) as answer, _connection_errors():
            return answer.read(), answer.headers

    return retry(attempt, lambda: 0, f"cannot read {url}")


def retry(attempt: Callable[[], T], reached: Callable[[], int], failure: str, tries: int = TRIES) -> T:
    """Repeat `attempt` while it raises `ConnectionLost`, and return its result.

    Args:
        attempt: Is called until it succeeds.
        reached: Returns the number of bytes downloaded so far.
        failure: Start of the error message.
        tries: Maximum number of attempts in a row without progress.

    Raises:
        NotAvailable: After `tries` attempts in a row without progress.
    """
    best, failed = reached(), 0
    while True:
        try:
            return attempt()
        except ConnectionLost as cut:
            failed = failed + 1 if reached() <= best else 1
            best = max(best, reached())
            if failed >= tries:
                hint = f"; {format_bytes(best)} are kept, and the same command resumes there" if best else ""
                raise NotAvailable(f"{failure}: {cut}{hint}") from None
        time.sleep(PAUSE * 2 ** (failed - 1))


def check_digest(path: Path, digest: str, name: str, progress: ProgressCallback = no_progress) -> None:
    """Compare a file with its digest. Raises `NotAvailable` and removes the file if they differ."""
    if not digest:
        return
    kind, _, expected = digest.partition(":")
    hashed, total, done = hashlib.new(kind, usedforsecurity=False), _size(path), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            hashed.update(block)
            progress(f"checking {name}", done := done + len(block), total)
    if hashed.hexdigest() != expected:
        path.unlink()
        raise NotAvailable(f"{name} has {kind} {hashed.hexdigest()}, expected {expected}; it was removed")


def _resume(url: str, part: Path, progress: ProgressCallback, tagged: bool) -> None:
    """Request the missing bytes and append them to `part`. Raises `ConnectionLost` or `UserError`.

    tagged: use the server's tag of the file's version; not needed if a digest is known.
    """
    have = _size(part)
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and _tag(part).is_file():  # a file that has changed since is sent whole
        headers["If-Range"] = _tag(part).read_text(encoding="utf-8")
    with _open(url, headers) as answer:
        if answer.status == 416:  # requested bytes beyond the end
            if answer.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            part.unlink()
            raise ConnectionLost("the file on the server has another length than before")
        if answer.headers.get_content_type() == "text/html":
            raise NotAvailable(f"{url} answers with a web page instead of the file: it has moved, or requires a login")
        span = re.match(rf"bytes {have}-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if answer.status != 206 or span is None:  # the server starts over, so the file must too
            have = 0
        length = span[1] if span and have else answer.headers.get("Content-Length")
        total = int(length) if length else None
        check_free_space(part.parent, (total or 0) - have, part.name.removesuffix(".part"))
        with disk_errors(part):
            if tagged:
                _store_tag(_tag(part), answer.headers)
            file = part.open("ab" if have else "wb")
        with file:
            while True:
                with _connection_errors():
                    block = answer.read(BLOCK)
                if not block:
                    break
                with disk_errors(part):
                    file.write(block)
                    file.flush()
                have += len(block)
                progress(part.name.removesuffix(".part"), have, total)
    if total is not None and have != total:
        raise ConnectionLost(f"the connection ended after {have:,} of {total:,} bytes")


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    from cliptune.version import __version__

    headers = {"User-Agent": f"cliptune/{__version__}", "Accept-Encoding": "identity", **headers}
    try:
        with _connection_errors():
            return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return error  # type: ignore[return-value]  # has status and headers like other responses
        error.close()
        meaning = {404: "not found", 410: "no longer there", 403: "refused", 401: "requires a login"}
        raise NotAvailable(f"{url}: {meaning.get(error.code, error.reason)} ({error.code})") from None


@contextmanager
def _connection_errors() -> Iterator[None]:
    """Raise `ConnectionLost` for errors that another attempt may avoid. Other refusals are raised as they are."""
    try:
        yield
    except urllib.error.HTTPError as error:
        if error.code in (408, 425, 429) or error.code >= 500:
            error.close()
            raise ConnectionLost(f"the server answers {error.code} {error.reason}") from error
        raise
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise NotAvailable(f"the server's certificate is invalid: {error.reason.verify_message}") from None
        raise ConnectionLost(f"no answer ({error.reason}); is there a network?") from error
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionLost(f"the connection was lost ({error or type(error).__name__})") from error


def _store_tag(tag: Path, headers: Message) -> None:
    """Store the server's tag of this version of the file, if it sends one."""
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
