"""A folder of masks that cliptune makes: where each goes, how it is written, which are there already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cliptune import plain_values
from cliptune.errors import UserError, shown
from cliptune.files import atomic_write, open_regular, read_text, write_json
from cliptune.masks.decode import READ_ERRORS, image_size
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.data.dataset import Dataset

#: How the masks of a folder were made.
SETTINGS_FILE = "masks.json"
#: What is noted there and may change: a program's options may say how fast it is, or where it finds its weights.
VARIABLE_FIELDS = {"command"}


def check_settings(folder: Path, about: dict[str, Any]) -> None:
    """Raises `UserError` if `folder` holds masks that were made in another way than `about` tells."""
    record = folder / SETTINGS_FILE
    if not record.is_file():
        return
    try:
        held = plain_values.from_json(read_text(record))
        names = [name for name in sorted({*held, *about} - VARIABLE_FIELDS) if held.get(name) != about.get(name)]
    except (ValueError, TypeError, AttributeError):
        raise UserError(f"{record} cannot be read; remove it, or choose another --out") from None
    if names:
        told = ", ".join(f"--{shown(name)[1:-1]} {shown(held.get(name))}, not {about.get(name)!r}" for name in names)
        raise UserError(f"{folder} holds masks made with {told}; choose another --out, or --overwrite them")


def write_settings(folder: Path, about: dict[str, Any]) -> None:
    """Record in `folder` how its masks are made."""
    write_json(folder / SETTINGS_FILE, about)


def mask_paths(dataset: Dataset, examples: Sequence[Example], folder: Path) -> dict[str, Path]:
    """Where the mask of each example goes, by key: where `folder:` looks for it.

    The suffix becomes .png, unless pictures of the dataset differ in nothing else; their masks keep it, whatever they
    hold.
    """
    # A set, as some datasets test on their validation pictures.
    keys = {e.key for part in ("train", "val", "test") for e in dataset.examples(part)}
    stems = Counter(map(_stem, keys))
    found = {}
    for example in examples:
        # Whole paths of pictures, and such as lead upwards, lie below `folder` as others do.
        key = PurePosixPath(*(part for part in Path(example.key).parts if part not in (Path(example.key).anchor, "..")))
        found[example.key] = folder / (key if stems[_stem(example.key)] > 1 else key.with_suffix(".png"))
    return found


def _stem(key: str) -> str:
    return str(PurePosixPath(key).with_suffix(""))


def write_mask(path: Path, pixels: np.ndarray) -> None:
    """uint8 `(H, W)` as a grey PNG, whole or not at all."""
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")


def existing_mask(path: Path, dataset: Dataset, example: Example) -> np.ndarray | None:
    """The pixels of a mask that is there, or None if it is not, is cut off, or not of the picture's size."""
    try:
        with open_regular(path) as file, Image.open(file) as image:
            pixels = np.asarray(image.convert("L"))
        return pixels if pixels.shape == image_shape(dataset, example) else None
    except READ_ERRORS:  # a `UserError` about the picture among them: whoever reads it will say it
        return None


def image_shape(dataset: Dataset, example: Example) -> tuple[int, int]:
    """Height and width of a picture as it is read; from its file's head where it has one. Raises `UserError`."""
    if example.path is not None:
        with suppress(UserError):  # reading it says better what is wrong
            return image_size(example.path, upright=True)
    height, width = dataset.read(example).image.shape[-2:]
    return height, width
