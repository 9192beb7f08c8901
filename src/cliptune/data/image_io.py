"""Reading image files of any kind as upright RGB images of eight bits per channel."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError, features

from cliptune.data import read_errors
from cliptune.data.bit_depth import exceeds_8_bits, to_8_bits
from cliptune.data.range_warnings import warn_assumed_range
from cliptune.data.read_errors import UnreadableImageError, describe_error, is_heic
from cliptune.files import open_regular
from cliptune.types import DecodedImage

if TYPE_CHECKING:
    from torch import Tensor

#: Suffixes of the formats that the installed Pillow reads, and of HEIC if pillow-heif is installed.
HEIC_SUFFIXES = {".heic", ".heif", ".hif"}
IMAGE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".qoi"),
    *((".webp",) if features.check("webp") else ()),
    *((".avif", ".avifs") if features.check("avif") else ()),
    *((".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc") if features.check("jpg_2000") else ()),
    *(HEIC_SUFFIXES if find_spec("pillow_heif") else ()),
}
#: Markers near the end of complete files of these formats; without it, a file was cut short.
END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
#: Larger files are decoded from disk instead of being read into memory first.
MAX_BUFFERED_BYTES = 64 << 20
#: Modules whose warnings about odd metadata are suppressed while files are read.
QUIET_MODULES = (r"PIL\b", r"torchvision\b", r"cliptune\.data\.image_io$")
#: Warning filters and Pillow's size limit belong to the process: the first of the threads that read sets them, the last
#: one restores them.
_lock = threading.Lock()
_readers = 0
_restore: Any = None


def read_image(path: Path) -> DecodedImage:
    """Read an image file as RGB with eight bits per channel, rotated upright according to its EXIF orientation.

    Transparent pixels are composited on white, and the opacity becomes the mask. Of several frames or pages, the first
    is read. Deep images are reduced to eight bits, with a warning if their value range had to be assumed (`bit_depth`).
    Colour profiles are not applied. The content decides the format, not the suffix.

    Raises:
        UnreadableImageError: The file cannot be read; the message names the file and the reason.
    """
    with open_image(path, buffered=True) as file:
        image, assumed = decode(file)
    warn_assumed_range(str(path), assumed)
    return image


def read_image_bytes(content: bytes, name: str) -> DecodedImage:
    """`read_image` of the content of a file, which messages call `name`."""
    with _explained(name, content[:64]):
        image, assumed = decode(io.BytesIO(content))
    warn_assumed_range(name, assumed)
    return image


def from_pil(image: Image.Image) -> DecodedImage:
    """`read_image` of a PIL image, opened from a file or made in memory."""
    decoded, assumed = _to_rgb_and_alpha(image)
    warn_assumed_range(getattr(image, "filename", "") or f"of {image.width} x {image.height} pixels", assumed)
    return decoded


@contextmanager
def open_image(path: Path, buffered: bool = False) -> Iterator[io.BufferedReader | io.BytesIO]:
    """Open an image file. Whatever reading it raises within the block becomes an `UnreadableImageError`.

    buffered: Read the file into memory first, up to `MAX_BUFFERED_BYTES`.
    """
    with _explained(path):
        file = open_regular(path)
    with file:
        with _explained(path):
            head = file.peek(64)[:64]
        with _explained(path, head):
            small = buffered and os.fstat(file.fileno()).st_size <= MAX_BUFFERED_BYTES
            yield io.BytesIO(file.read()) if small else file


def find_fault(path: Path) -> str:
    """Why an image file cannot be read, as far as its header and end tell (see `inspect`), or ""."""
    try:
        with open_image(path) as file:
            inspect(file)
    except UnreadableImageError as error:
        return error.reason
    return ""


def image_header(content: bytes, name: str) -> tuple[str, int, int]:
    """Pillow's name of the format, width and height that the header of an image file states; nothing is decoded.

    Raises:
        UnreadableImageError: The content is no image, or has more than `read_errors.MAX_PIXELS` pixels.
    """
    with _explained(name, content[:64]), lenient_pillow(), _open(io.BytesIO(content)) as image:
        return image.format or "", image.width, image.height


def inspect(file: BinaryIO) -> str:
    """Check the header and the end of an open image file; what is assumed about its value range, or "".

    Raises what decoding raises for a file that is no image, too large or cut short; it may still be damaged inside.
    Deep images are decoded, as their range follows from their values.
    """
    with lenient_pillow():
        file.seek(0)
        with _open(file) as image:
            end, deep = END_MARKERS.get(image.format or ""), exceeds_8_bits(image)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16)))
        if not deep and (end is None or end in file.read()):
            return ""
        return decode(file)[1]  # rare enough


def decode(file: BinaryIO) -> tuple[DecodedImage, str]:
    """Decode an open image file as `read_image` does; the image and what was assumed about its value range."""
    file.seek(0)
    with lenient_pillow(), _open(file) as image:
        if image.format == "JPEG" and image.mode == "RGB" and image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return DecodedImage(_decode_jpeg(file)), ""
        return _to_rgb_and_alpha(image)


@contextmanager
def _explained(name: Path | str, head: bytes = b"") -> Iterator[None]:
    """Turn whatever the block raises into an `UnreadableImageError`: Pillow's readers raise all kinds of errors on a
    damaged file. head: First bytes of the file; empty for an empty file."""
    try:
        yield
    except UnreadableImageError:
        raise
    except Exception as error:
        raise UnreadableImageError(name, describe_error(error, head)) from None


@contextmanager
def lenient_pillow() -> Iterator[None]:
    """Suppress Pillow's warnings about odd metadata and raise its size limit to `read_errors.MAX_PIXELS`."""
    global _readers, _restore
    with _lock:
        _readers += 1
        if _readers == 1:
            filters = warnings.catch_warnings()
            filters.__enter__()
            for module in QUIET_MODULES:
                warnings.filterwarnings("ignore", module=module)
            _restore = Image.MAX_IMAGE_PIXELS, filters
            # Pillow refuses images of twice this size.
            Image.MAX_IMAGE_PIXELS = None if _restore[0] is None else max(_restore[0], read_errors.MAX_PIXELS // 2)
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers:
                Image.MAX_IMAGE_PIXELS, filters = _restore
                filters.__exit__(None, None, None)


def _open(file: BinaryIO) -> Image.Image:
    """`Image.open`; HEIC files, whatever their suffix, are opened by pillow-heif if it is installed."""
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        file.seek(0)
        if not is_heic(file.read(12)) or not find_spec("pillow_heif"):
            raise
    file.seek(0)
    # Imported when needed, as that takes a tenth of a second. Registering it would change Pillow for the whole process.
    image = import_module("pillow_heif").HeifImageFile(file)
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > 2 * Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{image.width * image.height} pixels")
    return image


def _to_rgb_and_alpha(image: Image.Image) -> tuple[DecodedImage, str]:
    """The image, upright on white with eight bits per channel, and what was assumed about its range."""
    from torchvision.transforms.v2.functional import pil_to_tensor

    assumption = ""
    if exceeds_8_bits(image):
        shallow, assumption = to_8_bits(image)
        shallow.info["exif"] = image.getexif().tobytes()
        image = shallow
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if not image.has_transparency_data:
        return DecodedImage(pil_to_tensor(_to_rgb(image))), assumption
    shown = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    alpha = pil_to_tensor(shown.getchannel("A"))
    if alpha.min() == 255:
        return DecodedImage(pil_to_tensor(_to_rgb(image))), assumption
    page = Image.new("RGBA", shown.size, "white")
    page.alpha_composite(shown)
    return DecodedImage(pil_to_tensor(page.convert("RGB")), alpha), assumption


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":  # the one colour space of files that `convert` does not know
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _decode_jpeg(file: BinaryIO) -> Tensor:
    """uint8 `(3, H, W)` of a JPEG file: the pixels that Pillow gives, in three quarters of its time."""
    import torch
    from torch import Tensor
    from torchvision import io as decoders
    from torchvision.transforms.v2.functional import pil_to_tensor

    file.seek(0)
    encoded = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
    try:
        return cast(Tensor, decoders.decode_jpeg(encoded, decoders.ImageReadMode.RGB))
    except (RuntimeError, AttributeError):  # damaged, or a torchvision without JPEG: Pillow decides
        file.seek(0)
        return pil_to_tensor(Image.open(file))
