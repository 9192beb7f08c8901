"""Picture files, whatever they hold: turned upright, eight bits, RGB; and what is wrong with those that cannot be."""

from __future__ import annotations

import errno
import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features

from cliptune.errors import UserError
from cliptune.files import open_regular
from cliptune.types import Picture

if TYPE_CHECKING:
    from torch import Tensor

#: Suffixes of the image kinds that the installed Pillow reads; of HEIC where pillow-heif is installed.
HEIC = {".heic", ".heif", ".hif"}
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".qoi"),
    *((".webp",) if features.check("webp") else ()),
    *((".avif", ".avifs") if features.check("avif") else ()),
    *((".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc") if features.check("jpg_2000") else ()),
    *(HEIC if find_spec("pillow_heif") else ()),
}
#: What the system says of files, in words; anything else in its own.
SAID = {
    errno.ENOENT: "is not there",
    errno.EACCES: "is protected (permission denied)",
    errno.EPERM: "is protected (permission denied)",
    errno.ELOOP: "is a link that leads in circles",
    errno.EISDIR: "is a folder",
    errno.EINVAL: "is a pipe or a device, not a file",
}
#: What HEIC files call themselves.
BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
#: What files that are no images begin with, in place of one, and what is said of them.
STANDINS = {
    b"version https://git-lfs": "is a Git LFS pointer, not an image (run git lfs pull)",
    b"/annex/objects/": "is a git-annex pointer, not an image (run git annex get)",
    b"<!doctype html": "is a web page, not an image (its download failed)",
    b"<html": "is a web page, not an image (its download failed)",
}
#: How whole files of these kinds end: a file that has it nowhere near its end was cut short.
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
ORIENTATION = 0x0112
#: Pixels of the largest pictures that are read: the largest photographs taken have 200 million.
LARGEST = 250_000_000
#: Warnings' filters and Pillow's limit belong to the process: the first of the threads that read sets them, the last
#: one puts them back.
_counting = threading.Lock()
#: Modules whose warnings say odd things of a file; other threads' notes must not be lost meanwhile.
QUIET = (r"PIL\b", r"torchvision\b", r"cliptune\.data\.pictures$")
_readers = 0
_strict: Any = None


class Unreadable(UserError):
    """A picture file that cannot be read; `why` goes on after its name: "is empty"."""

    def __init__(self, path: Path | str, why: str):
        super().__init__(f"picture {path} cannot be read: it {why}; remove or replace it")
        self.path, self.why = path, why


def read_picture(path: Path) -> Picture:
    """A picture file turned as its EXIF says, with its transparency (if anything in it is transparent) as mask.

    The first frame of what moves; sixteen bits brought to eight; colour profiles are not applied. The suffix does not
    matter. Raises `Unreadable`, a `UserError` that names the file and what is wrong with it.
    """
    try:
        with open_regular(path) as file:
            return _decoded(file)
    except Exception as error:  # of a damaged file, Pillow's readers raise whatever they stumbled over
        raise Unreadable(path, _why(path, error)) from None


def read_bytes(content: bytes, name: str) -> Picture:
    """`read_picture` of a file's content, which sentences call by `name`."""
    try:
        return _decoded(io.BytesIO(content))
    except Exception as error:
        raise Unreadable(name, _why(None, error, content[:64]) if content else "is empty") from None


def picture_of(image: Image.Image) -> Picture:
    """An opened picture, likewise turned and brought to eight bits, with its transparency as mask."""
    from torchvision.transforms.v2.functional import pil_to_tensor

    image = upright(image)
    alpha = pil_to_tensor(image.convert("RGBA"))[3:] if image.has_transparency_data else None
    return Picture(pil_to_tensor(_rgb(image)), None if alpha is None or alpha.min() == 255 else alpha)


def fault(path: Path) -> str:
    """What can be seen to be wrong with a picture file from its head and end, or "": not there, empty, no picture, too
    large, cut short. A file may still be damaged inside. To be called within `lenient`."""
    try:
        with open_regular(path) as file:
            with _opened(file) as image:
                end = ENDS.get(image.format or "")
            file.seek(0, 2)
            file.seek(max(0, file.tell() - (1 << 16)))
            if end is None or end in file.read():
                return ""
        read_picture(path)  # rare enough to be sure
        return ""
    except Unreadable as error:
        return error.why
    except Exception as error:
        return _why(path, error)


@contextmanager
def lenient() -> Iterator[None]:
    """Pillow without its warnings of odd metadata, and with our limit to sizes."""
    global _readers, _strict
    with _counting:
        _readers += 1
        if _readers == 1:
            filters = warnings.catch_warnings()
            filters.__enter__()
            for module in QUIET:
                warnings.filterwarnings("ignore", module=module)
            _strict = Image.MAX_IMAGE_PIXELS, filters
            # Pillow refuses what is twice as large as this.
            Image.MAX_IMAGE_PIXELS = None if _strict[0] is None else max(_strict[0], LARGEST // 2)
    try:
        yield
    finally:
        with _counting:
            _readers -= 1
            if not _readers:
                Image.MAX_IMAGE_PIXELS, filters = _strict
                filters.__exit__(None, None, None)


def upright(image: Image.Image) -> Image.Image:
    """A picture turned as its EXIF says, 16 bits a pixel brought to 8, where Pillow would cut them off at 255."""
    if image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))


def _opened(file: BinaryIO) -> Image.Image:
    """`Image.open`, with pillow-heif where the file is HEIC, whatever its suffix, and that is installed."""
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        file.seek(0)
        if not _is_heic(file.read(12)) or not find_spec("pillow_heif"):
            raise
    import pillow_heif  # costs a tenth of a second, so where it is needed only

    pillow_heif.register_heif_opener()
    file.seek(0)
    return Image.open(file)


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in BRANDS


def _decoded(file: BinaryIO) -> Picture:
    with lenient(), _opened(file) as image:
        if image.format == "JPEG" and image.mode == "RGB" and image.getexif().get(ORIENTATION, 1) == 1:
            return Picture(_plain_jpeg(file, image))
        return picture_of(image)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":  # the one colour space of files that `convert` does not know
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _plain_jpeg(file: BinaryIO, image: Image.Image) -> Tensor:
    """uint8 `(3, H, W)` of what most data sets are made of: the pixels Pillow gives, a quarter sooner."""
    import torch
    from torch import Tensor
    from torchvision import io as decoders
    from torchvision.transforms.v2.functional import pil_to_tensor

    file.seek(0)
    encoded = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
    try:
        return cast(Tensor, decoders.decode_jpeg(encoded, decoders.ImageReadMode.RGB))
    except (RuntimeError, AttributeError):  # damaged, or torchvision came without JPEG: Pillow has the last word
        file.seek(0)
        return pil_to_tensor(Image.open(file))


def _why(path: Path | None, error: Exception, head: bytes = b"") -> str:
    """What is wrong with a file, from what reading it raised. head: how it begins, where there is no path to read."""
    if isinstance(error, Image.DecompressionBombError):
        pixels = int((re.findall(r"\d+", str(error)) or ["0"])[0]) / 1e6
        return f"has {pixels:g} million pixels, more than the {LARGEST / 1e6:g} million that are read (save it smaller)"
    if isinstance(error, OSError) and error.errno:
        return SAID.get(error.errno, f"cannot be read ({(error.strerror or '').lower()})")
    if path is not None and not path.stat().st_size:
        return "is empty"
    if isinstance(error, UnidentifiedImageError):
        return _standin(path, head) or "is no picture, or of a kind that is not known"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if "truncated" in str(error).lower():
        return "is cut short"
    return f"is damaged ({type(error).__name__})"


def _standin(path: Path | None, head: bytes) -> str:
    """What stands in an image's place, from the first bytes of its file, or ""."""
    if path is not None:
        with open_regular(path) as file:
            head = file.read(64)
    if _is_heic(head):
        return 'is a HEIC image, which needs another package (pip install "cliptune[heic]")'
    return next((said for start, said in STANDINS.items() if head.lstrip().lower().startswith(start)), "")
