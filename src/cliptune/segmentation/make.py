"""Make mask files with a segmentation model, in the layout that `folder:` reads. An interrupted call is resumed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cliptune import checks
from cliptune.errors import UserError
from cliptune.segmentation import mask_folder
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.data.dataset import Dataset

#: Results of a segmenter: each example with its map, or with the reason why there is none.
SegmentationResults = Generator[tuple[Example, Tensor | str], None, None]
#: A mask has no foreground if no pixel reaches this value.
MIN_FOREGROUND = 128


class Segmenter(ABC):
    """Finds the foreground of images.

    Attributes:
        threshold: Default threshold of the maps.
        batch_size: Default number of images per call of `segment`; 0 for all at once.
        settings: Plain values that distinguish its masks from those of another segmenter.
    """

    threshold = 0.5
    batch_size = 8
    settings: dict[str, Any]

    @abstractmethod
    def segment(self, dataset: Dataset, examples: Sequence[Example]) -> SegmentationResults:
        """Yield each example, in any order, with its map, float `(H, W)` in [0, 1] of the image's size, or with the
        reason why there is none. Raises `UserError` if it cannot continue."""


@dataclass(frozen=True)
class MakeResult:
    """Result of `make_masks`.

    Args:
        made: Number of masks that were made.
        existing: Number of masks that existed already.
        empty: Keys of examples whose masks, new or old, have no foreground.
        missing: Reasons why examples have no mask, by key.
    """

    made: int
    existing: int
    empty: tuple[str, ...]
    missing: dict[str, str]


def make_masks(
    dataset: Dataset,
    examples: Sequence[Example],
    segmenter: Segmenter,
    out: str | Path,
    *,
    threshold: float | None = None,
    soft: bool = False,
    batch_size: int | None = None,
    overwrite: bool = False,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> MakeResult:
    """Write the masks of `examples` as grey PNG files below `out`, named by key with the suffix .png.

    Masks that exist, are complete and have the image's size are kept, so the same call resumes an interrupted one.

    Args:
        threshold: A map is foreground (255) from this value on, else background (0). By default the segmenter's.
        soft: Write the map's values instead.
        batch_size: By default the segmenter's.
        overwrite: Make all masks again.
        tick: Called with the numbers of examples done and in total.

    Raises `UserError` if `out` contains masks that were made with other settings.
    """
    folder, cut = Path(out).expanduser(), segmenter.threshold if threshold is None else threshold
    checks.require(0 < cut <= 1, "threshold", cut, "above 0 and at most 1")
    checks.require(batch_size is None or batch_size >= 0, "batch_size", batch_size, "at least 0 (all images at once)")
    settings, missing = segmenter.settings | ({"soft": True} if soft else {"threshold": cut}), dict[str, str]()
    if not overwrite:
        mask_folder.check_settings(folder, settings)
    paths = mask_folder.mask_paths(dataset, examples, folder)
    for example in examples if overwrite else ():  # before any is made, so that no old mask passes for a new one
        paths[example.key].unlink(missing_ok=True)
    waiting, empty = _without_mask(dataset, examples, paths, tick)
    existing = len(examples) - len(waiting)
    with closing(_segment(dataset, waiting, segmenter, batch_size)) as results:
        for done, (example, result) in enumerate(results, existing + 1):
            if isinstance(result, str):
                missing[example.key] = result
            else:
                values = result.float().cpu().numpy()
                pixels = ((values * 255).round() if soft else (values >= cut) * 255).astype(np.uint8)
                if done - len(missing) == existing + 1:  # the first mask that is made
                    mask_folder.write_settings(folder, settings)
                mask_folder.write_mask(paths[example.key], pixels)
                if pixels.max() < MIN_FOREGROUND:
                    empty.append(example.key)
            tick(done, len(examples))
    return MakeResult(len(waiting) - len(missing), existing, tuple(empty), missing)


def _without_mask(
    dataset: Dataset, examples: Sequence[Example], paths: Mapping[str, Path], tick: Callable[[int, int], None]
) -> tuple[list[Example], list[str]]:
    """The examples whose masks do not exist yet, and the keys of those whose masks exist but have no foreground."""
    waiting, empty = list[Example](), list[str]()
    for i, example in enumerate(examples, 1):
        pixels = mask_folder.existing_mask(paths[example.key], dataset, example)
        if pixels is None:
            waiting.append(example)
            continue
        tick(i - len(waiting), len(examples))
        if pixels.max() < MIN_FOREGROUND:
            empty.append(example.key)
    return waiting, empty


def _segment(
    dataset: Dataset, examples: Sequence[Example], segmenter: Segmenter, batch_size: int | None
) -> SegmentationResults:
    """Results of the segmenter, batch by batch."""
    size = (segmenter.batch_size if batch_size is None else batch_size) or max(1, len(examples))
    for start in range(0, len(examples), size):
        with explain_out_of_memory(size), closing(segmenter.segment(dataset, examples[start : start + size])) as found:
            yield from found


@contextmanager
def explain_out_of_memory(batch_size: int) -> Iterator[None]:
    """Turn an out-of-memory error of the device into a `UserError`."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise UserError(
            f"{batch_size} images at once do not fit into the device's memory; lower --batch-size"
        ) from None


def classes_in(dataset: Dataset, example: Example) -> list[tuple[int, str]]:
    """The classes that an image shows, several for multi-label data, as labels and names in words."""
    labels = example.labels or (example.label,)
    return [(label, dataset.classnames[label].replace("_", " ")) for label in labels]


def read_images(dataset: Dataset, examples: Sequence[Example]) -> tuple[list[Example], list[Tensor], dict[str, str]]:
    """The examples whose images can be read, these images, uint8 `(3, H, W)`, and the errors of the others by key."""
    readable, images, errors = list[Example](), list[Tensor](), dict[str, str]()
    for example in examples:
        try:
            images.append(dataset.read(example).image)
            readable.append(example)
        except UserError as error:
            errors[example.key] = str(error)
    return readable, images, errors
