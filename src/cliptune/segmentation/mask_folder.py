"""The folder that `masks make` writes: paths of masks, the settings file, existing masks."""

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

#: The file with the settings that the masks of a folder were made with.
SETTINGS_FILE = "masks.json"
#: Settings that may differ between calls: options of an external program may concern its speed or its weights' path.
VARIABLE_FIELDS = {"command"}


def check_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Raise `UserError` if `folder` contains masks that were made with other settings."""
    record = folder / SETTINGS_FILE
    if not record.is_file():
        return
    try:
        saved = plain_values.from_json(read_text(record))
        names = [
            name for name in sorted({*saved, *settings} - VARIABLE_FIELDS) if saved.get(name) != settings.get(name)
        ]
    except (ValueError, TypeError, AttributeError):
        raise UserError(f"{record} cannot be read; remove it, or choose another --out") from None
    if names:
        differences = ", ".join(
            f"--{shown(name)[1:-1]} {shown(saved.get(name))}, not {settings.get(name)!r}" for name in names
        )
        raise UserError(f"{folder} contains masks made with {differences}; choose another --out, or --overwrite them")


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Write the settings file of a folder."""
    write_json(folder / SETTINGS_FILE, settings)


def mask_paths(dataset: Dataset, examples: Sequence[Example], folder: Path) -> dict[str, Path]:
    """The path of each example's mask, by key, where `folder:` finds it.

    The suffix becomes .png. Where images of the dataset differ in their suffix alone, their masks keep it; the content
    is PNG all the same.
    """
    # A set, as some datasets test on their validation images.
    keys = {e.key for part in ("train", "val", "test") for e in dataset.examples(part)}
    stems = Counter(map(_stem, keys))
    found = {}
    for example in examples:
        # Absolute paths, and paths that lead upwards, are placed below `folder` like all others.
        key = PurePosixPath(*(part for part in Path(example.key).parts if part not in (Path(example.key).anchor, "..")))
        found[example.key] = folder / (key if stems[_stem(example.key)] > 1 else key.with_suffix(".png"))
    return found


def _stem(key: str) -> str:
    return str(PurePosixPath(key).with_suffix(""))


def write_mask(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 `(H, W)` as a grey PNG, atomically."""
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")


def existing_mask(path: Path, dataset: Dataset, example: Example) -> np.ndarray | None:
    """The pixels of an existing mask, or None if it is missing, truncated, or not of the image's size."""
    try:
        with open_regular(path) as file, Image.open(file) as image:
            pixels = np.asarray(image.convert("L"))
        return pixels if pixels.shape == image_shape(dataset, example) else None
    except READ_ERRORS:  # includes a `UserError` about the image, which reading it reports
        return None


def image_shape(dataset: Dataset, example: Example) -> tuple[int, int]:
    """Height and width of an image as it is read, from the file's header if possible. Raises `UserError`."""
    if example.path is not None:
        with suppress(UserError):  # reading it gives a better message
            return image_size(example.path)
    height, width = dataset.read(example).image.shape[-2:]
    return height, width
