"""Why an image file cannot be read, in words that continue its name."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cliptune.errors import UserError, os_reason

#: Messages for system errors; other errors keep the system's own message.
ERRNO_MESSAGES = {
    errno.ENOENT: "does not exist",
    errno.EACCES: "is protected (permission denied)",
    errno.EPERM: "is protected (permission denied)",
    errno.ELOOP: "is a link that leads in circles",
    errno.EISDIR: "is a folder",
    errno.EINVAL: "is a pipe or a device, not a file",
}
#: Brands in the headers of HEIC files.
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
#: First bytes of files that are no images but are often found in their place, and the messages for them.
NON_IMAGE_HEADERS = {
    b"version https://git-lfs": "is a Git LFS pointer, not an image (run git lfs pull)",
    b"/annex/objects/": "is a git-annex pointer, not an image (run git annex get)",
    b"<!doctype html": "is a web page, not an image (its download failed)",
    b"<html": "is a web page, not an image (its download failed)",
}
#: Largest images that are read, in pixels; the largest photographs have 200 million.
MAX_PIXELS = 250_000_000


class UnreadableImageError(UserError):
    """An image file cannot be read. `reason` continues the file's name: "is empty"."""

    def __init__(self, path: Path | str, reason: str):
        super().__init__(f"image {path} cannot be read: it {reason}; remove or replace it")
        self.path, self.reason = path, reason


def describe_error(error: Exception, head: bytes) -> str:
    """Why a file cannot be read, continuing its name.

    Args:
        error: What opening or decoding the file raised.
        head: The first bytes of the file, empty for an empty file.
    """
    if isinstance(error, Image.DecompressionBombError):
        pixels = int((re.findall(r"\d+", str(error)) or ["0"])[0]) / 1e6
        return (
            f"has {pixels:g} million pixels, more than the {MAX_PIXELS / 1e6:g} million that are read (save it smaller)"
        )
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        return ERRNO_MESSAGES.get(error.errno, f"cannot be read ({os_reason(error)})")
    if not head:
        return "is empty"
    if isinstance(error, UnidentifiedImageError):
        return _describe_header(head) or "is no image, or of an unknown format"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if "truncated" in str(error).lower():
        return "is cut short"
    return f"is damaged ({type(error).__name__})"


def _describe_header(head: bytes) -> str:
    """A description of a file that is not a readable image, from its first bytes; "" if they are unknown."""
    if is_heic(head):
        return 'is a HEIC image, which needs another package (pip install "cliptune[heic]")'
    return next(
        (message for start, message in NON_IMAGE_HEADERS.items() if head.lstrip().lower().startswith(start)), ""
    )


def is_heic(head: bytes) -> bool:
    """Whether a file with these first bytes is HEIC."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS
