"""Picture files, whatever they hold: turned upright, eight bits, RGB; and what is wrong with those that cannot be."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features

from cliptune.data import read_errors
from cliptune.data.bit_depth import exceeds_8_bits, to_8_bits
from cliptune.data.range_warnings import collect_assumed_ranges, warn_assumed_range
from cliptune.data.read_errors import UnreadableImageError, describe_error, is_heic
from cliptune.files import open_regular
from cliptune.types import DecodedImage

if TYPE_CHECKING:
    from torch import Tensor

#: Suffixes of the image kinds that the installed Pillow reads; of HEIC where pillow-heif is installed.
HEIC_SUFFIXES = {".heic", ".heif", ".hif"}
IMAGE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".qoi"),
    *((".webp",) if features.check("webp") else ()),
    *((".avif", ".avifs") if features.check("avif") else ()),
    *((".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc") if features.check("jpg_2000") else ()),
    *(HEIC_SUFFIXES if find_spec("pillow_heif") else ()),
}
#: How whole files of these kinds end: a file that has it nowhere near its end was cut short.
END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
ORIENTATION_TAG = 0x0112
#: Warnings' filters and Pillow's limit belong to the process: the first of the threads that read sets them, the last
#: one puts them back.
_counting = threading.Lock()
#: Modules whose warnings say odd things of a file; other threads' notes must not be lost meanwhile.
QUIET_MODULES = (r"PIL\b", r"torchvision\b", r"cliptune\.data\.pictures$")
_readers = 0
_strict: Any = None


def read_image(path: Path) -> DecodedImage:
    """An image file turned as its EXIF says, on white where it is transparent, with its opacity (if any of it is
    transparent) as mask.

    The first frame or page of several; deep images brought to eight bits, with a warning where their range was assumed
    (`depths`); colour profiles are not applied. The suffix does not matter. Raises `Unreadable`, a `UserError` that
    names the file and what is wrong with it.
    """
    try:
        with open_regular(path) as file:
            picture, said = _decode(file)
    except Exception as error:  # of a damaged file, Pillow's readers raise whatever they stumbled over
        raise UnreadableImageError(path, describe_error(path, error)) from None
    warn_assumed_range(str(path), said)
    return picture


def read_image_bytes(content: bytes, name: str) -> DecodedImage:
    """`read_picture` of a file's content, which sentences call by `name`."""
    try:
        picture, said = _decode(io.BytesIO(content))
    except Exception as error:
        raise UnreadableImageError(name, describe_error(None, error, content[:64]) if content else "is empty") from None
    warn_assumed_range(name, said)
    return picture


def from_pil(image: Image.Image) -> DecodedImage:
    """`read_picture` of an opened image, or one made in memory."""
    picture, said = _to_rgb_and_alpha(image)
    warn_assumed_range(getattr(image, "filename", "") or f"of {image.width} x {image.height} pixels", said)
    return picture


def find_fault(path: Path) -> str:
    """What can be seen to be wrong with an image file, or "" (see `look`)."""
    return inspect_file(path)[0]


def inspect_file(path: Path) -> tuple[str, str]:
    """What can be seen to be wrong with an image file from its head and end, or "": not there, empty, no image, too
    large, cut short; and what is assumed of its range, or "", for which deep images are decoded. A file may still be
    damaged inside. To be called within `lenient`."""
    try:
        with open_regular(path) as file:
            with _open(file) as image:
                end, deep = END_MARKERS.get(image.format or ""), exceeds_8_bits(image)
            file.seek(0, 2)
            file.seek(max(0, file.tell() - (1 << 16)))
            if not deep and (end is None or end in file.read()):
                return "", ""
        with collect_assumed_ranges() as assumed:
            read_image(path)  # rare enough to be sure
        return "", next((said for _, said in assumed), "")
    except UnreadableImageError as error:
        return error.why, ""
    except Exception as error:
        return describe_error(path, error), ""


@contextmanager
def lenient_pillow() -> Iterator[None]:
    """Pillow without its warnings of odd metadata, and with our limit to sizes."""
    global _readers, _strict
    with _counting:
        _readers += 1
        if _readers == 1:
            filters = warnings.catch_warnings()
            filters.__enter__()
            for module in QUIET_MODULES:
                warnings.filterwarnings("ignore", module=module)
            _strict = Image.MAX_IMAGE_PIXELS, filters
            # Pillow refuses what is twice as large as this.
            Image.MAX_IMAGE_PIXELS = None if _strict[0] is None else max(_strict[0], read_errors.MAX_PIXELS // 2)
    try:
        yield
    finally:
        with _counting:
            _readers -= 1
            if not _readers:
                Image.MAX_IMAGE_PIXELS, filters = _strict
                filters.__exit__(None, None, None)


def _open(file: BinaryIO) -> Image.Image:
    """`Image.open`, with pillow-heif where the file is HEIC, whatever its suffix, and that is installed."""
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        file.seek(0)
        if not is_heic(file.read(12)) or not find_spec("pillow_heif"):
            raise
    import_module("pillow_heif").register_heif_opener()  # costs a tenth of a second, so where it is needed only
    file.seek(0)
    return Image.open(file)


def _decode(file: BinaryIO) -> tuple[DecodedImage, str]:
    with lenient_pillow(), _open(file) as image:
        if image.format == "JPEG" and image.mode == "RGB" and image.getexif().get(ORIENTATION_TAG, 1) == 1:
            return DecodedImage(_decode_jpeg(file, image)), ""
        return _to_rgb_and_alpha(image)


def _to_rgb_and_alpha(image: Image.Image) -> tuple[DecodedImage, str]:
    """Turned, on white, eight bits a channel; and what was assumed of the range."""
    from torchvision.transforms.v2.functional import pil_to_tensor

    said = ""
    if exceeds_8_bits(image):
        shallow, said = to_8_bits(image)
        shallow.info["exif"] = image.getexif().tobytes()
        image = shallow
    if image.getexif().get(ORIENTATION_TAG, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if not image.has_transparency_data:
        return DecodedImage(pil_to_tensor(_to_rgb(image))), said
    shown = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    alpha = pil_to_tensor(shown.getchannel("A"))
    if alpha.min() == 255:
        return DecodedImage(pil_to_tensor(_to_rgb(image))), said
    page = Image.new("RGBA", shown.size, "white")
    page.alpha_composite(shown)
    return DecodedImage(pil_to_tensor(page.convert("RGB")), alpha), said


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":  # the one colour space of files that `convert` does not know
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _decode_jpeg(file: BinaryIO, image: Image.Image) -> Tensor:
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
