"""Images passed to the Python interface: files, bytes, PIL images, arrays or tensors; one, several, or a generator."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cliptune.data.conversion import to_image
from cliptune.data.image_io import UnreadableImageError, read_image, read_image_bytes
from cliptune.data.range_warnings import collect_assumed_ranges, warn_assumed_ranges
from cliptune.errors import UserError
from cliptune.types import DecodedImage

#: One image: a path, the content of an image file, a file open for reading bytes, a PIL image, an array `(H, W, C)` or
#: `(H, W)`, or a tensor `(C, H, W)` or `(H, W)`; pixels are uint8, or float in [0, 1].
ImageInput = str | os.PathLike | bytes | bytearray | memoryview | BinaryIO | Image.Image | np.ndarray | Tensor
INPUT_KINDS = (
    "a path, bytes of an image file, a file opened with 'rb', a PIL image, an array (H, W, C) or a tensor (C, H, W), "
    "or a list of them"
)


def iterate_images(images: ImageInput | Iterable[ImageInput]) -> tuple[Iterator[ImageInput], bool]:
    """An iterator over images, and whether a single one was passed. A four-dimensional array or tensor is a batch.

    Raises `UserError` for anything that is neither an image nor an ordered iterable.
    """
    if isinstance(images, (np.ndarray, Tensor)):
        batch = images.ndim == 4
        return (iter(images) if batch else iter([images])), not batch
    if is_image(images):
        return iter([images]), True  # type: ignore[list-item]
    if isinstance(images, (set, frozenset)):
        raise UserError(
            "the images are a set, which has no order; give a list, so that results have the order of the images"
        )
    if isinstance(images, dict) or not isinstance(images, Iterable):
        raise UserError(f"the image is a {type(images).__name__}; expected {INPUT_KINDS}")
    return iter(images), False  # type: ignore[return-value]


def batched_views(
    images: ImageInput | Iterable[ImageInput], view: Callable[[DecodedImage], Tensor], size: int
) -> Iterator[Tensor]:
    """Views `(n, 3, H, W)` of images in their order, `size` at a time, so that few are decoded at once.

    Warns once about the assumed ranges of deep images. Raises `UserError` as `iterate_images` and `read_image_input`
    do, and if there are no images.
    """
    inputs, single = iterate_images(images)
    assumed: list[tuple[str, str]] = []
    total = 0

    def read(image: ImageInput) -> Tensor:
        nonlocal total
        with collect_assumed_ranges() as collected:
            decoded = read_image_input(image, "the image" if single else f"image {total}")
        assumed.extend(collected)
        total += 1
        return view(decoded)

    views = map(read, inputs)
    while batch := list(islice(views, size)):
        yield torch.stack(batch)
    if not total:
        raise UserError("no images given; pass at least one image")
    warn_assumed_ranges(assumed, total)


def read_image_input(image: Any, what: str) -> DecodedImage:
    """Read an image of any kind, upright and in eight bits. what: Name in messages for an image without one.

    Raises `UserError` that names the input and the reason.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _content(bytes(image), what)
    if isinstance(image, (str, os.PathLike)):
        return read_image(image_path(image))
    if hasattr(image, "read"):
        return _open_file(image, what)
    if not is_image(image):
        raise UserError(f"{what} is a {type(image).__name__}; expected {INPUT_KINDS}")
    if isinstance(image, Image.Image) and not all(image.size):
        raise UserError(f"{what} is empty: its size is {image.width}x{image.height}")
    try:
        return to_image(image, what)
    except UserError:
        raise
    except Exception as error:  # a PIL image whose file is damaged, or was closed before reading
        raise UserError(f"{what} cannot be read: {type(error).__name__}: {error}") from None


def is_image(value: Any) -> bool:
    """Whether a value is of a type that `read_image_input` reads."""
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray, Tensor)
    return isinstance(value, kinds) or hasattr(value, "read")


def image_path(image: str | os.PathLike) -> Path:
    """The path of an image file. Raises `UserError` for a URL, a folder, and a path where there is nothing."""
    name = os.fsdecode(image)
    if name.lower().startswith(("http://", "https://", "ftp://", "s3://", "gs://")):
        raise UserError(f"{name} is a URL, and nothing is downloaded here; download it and give its path or bytes")
    path = Path(os.path.expanduser(name))
    if not os.path.lexists(path):
        raise UserError(f"no image at {path}; check the path")
    if path.is_dir():
        raise UserError(f"{path} is a folder; give its images: sorted(Path({str(path)!r}).rglob('*.jpg'))")
    return path


def _open_file(file: Any, what: str) -> DecodedImage:
    name = getattr(file, "name", None)
    what = name if isinstance(name, str) and name else what
    try:
        if hasattr(file, "seek") and getattr(file, "seekable", lambda: True)():
            file.seek(0)  # as Pillow does, so that a file can be read twice
        content = file.read()
    except Exception as error:  # a closed or write-only file, or an error of the object's own code
        why = f"{type(error).__name__}: {error}"
        raise UserError(f"{what} cannot be read ({why}); open it with open(path, 'rb')") from None
    if not isinstance(content, bytes):
        raise UserError(f"{what} gives {type(content).__name__}, not bytes; open it with open(path, 'rb')")
    return _content(content, what)


def _content(content: bytes, what: str) -> DecodedImage:
    try:
        return read_image_bytes(content, what)
    except UnreadableImageError as error:
        raise UserError(f"{what} cannot be read: it {error.reason}") from None
