"""What is wrong with an image file that cannot be read, in words that continue its name."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cliptune.errors import UserError
from cliptune.files import open_regular

#: What the system says of files, in words; anything else in its own.
ERRNO_MESSAGES = {
    errno.ENOENT: "is not there",
    errno.EACCES: "is protected (permission denied)",
    errno.EPERM: "is protected (permission denied)",
    errno.ELOOP: "is a link that leads in circles",
    errno.EISDIR: "is a folder",
    errno.EINVAL: "is a pipe or a device, not a file",
}
#: What HEIC files call themselves.
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
#: What files that are no images begin with, in place of one, and what is said of them.
NON_IMAGE_HEADERS = {
    b"version https://git-lfs": "is a Git LFS pointer, not an image (run git lfs pull)",
    b"/annex/objects/": "is a git-annex pointer, not an image (run git annex get)",
    b"<!doctype html": "is a web page, not an image (its download failed)",
    b"<html": "is a web page, not an image (its download failed)",
}
#: Pixels of the largest pictures that are read: the largest photographs taken have 200 million.
MAX_PIXELS = 250_000_000


class UnreadableImageError(UserError):
    """A picture file that cannot be read; `why` goes on after its name: "is empty"."""

    def __init__(self, path: Path | str, why: str):
        super().__init__(f"picture {path} cannot be read: it {why}; remove or replace it")
        self.path, self.why = path, why


def describe_error(path: Path | None, error: Exception, head: bytes = b"") -> str:
    """What is wrong with a file, from what reading it raised. head: how it begins, where there is no path to read."""
    if isinstance(error, Image.DecompressionBombError):
        pixels = int((re.findall(r"\d+", str(error)) or ["0"])[0]) / 1e6
        return (
            f"has {pixels:g} million pixels, more than the {MAX_PIXELS / 1e6:g} million that are read (save it smaller)"
        )
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        return ERRNO_MESSAGES.get(error.errno, f"cannot be read ({(error.strerror or '').lower()})")
    if path is not None and not path.stat().st_size:
        return "is empty"
    if isinstance(error, UnidentifiedImageError):
        return _describe_header(path, head) or "is no picture, or of a kind that is not known"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if "truncated" in str(error).lower():
        return "is cut short"
    return f"is damaged ({type(error).__name__})"


def _describe_header(path: Path | None, head: bytes) -> str:
    """What stands in an image's place, from the first bytes of its file, or ""."""
    if path is not None:
        with open_regular(path) as file:
            head = file.read(64)
    if is_heic(head):
        return 'is a HEIC image, which needs another package (pip install "cliptune[heic]")'
    return next((said for start, said in NON_IMAGE_HEADERS.items() if head.lstrip().lower().startswith(start)), "")


def is_heic(head: bytes) -> bool:
    """Whether a file that begins like this is HEIC."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS
