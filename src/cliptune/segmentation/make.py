"""Masks of pictures by a segmenter, as files that `folder:` reads; made once, going on after a stop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cliptune.errors import UserError
from cliptune.segmentation import mask_folder
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.data.dataset import Dataset

#: What a segmenter gives: examples with their maps, or with the reasons why there are none.
SegmentationResults = Generator[tuple[Example, Tensor | str], None, None]
#: A mask no pixel of which reaches this has no foreground.
MIN_FOREGROUND = 128


class Segmenter(ABC):
    """Finds the foreground of pictures.

    threshold: where its maps are cut unless another is asked for. batch_size: pictures a call, 0 for all at once.
    about: what tells its masks from another's, in plain values.
    """

    threshold = 0.5
    batch_size = 8
    about: dict[str, Any]

    @abstractmethod
    def segment(self, dataset: Dataset, examples: Sequence[Example]) -> SegmentationResults:
        """Each example, in any order, with its map, float `(H, W)` in [0, 1] of the picture's size, or with the reason
        why there is none. Raises `UserError` when it cannot go on."""


@dataclass(frozen=True)
class MakeResult:
    """How many masks were made and how many there were; which of both have no foreground; why others are missing, by
    key."""

    made: int
    kept: int
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
    """Masks of `examples` as grey PNGs under `out`, at the path of each key with the suffix .png.

    Masks that are there, whole and of the picture's size, stay; so after a stop the same call goes on. threshold: from
    where on a map is foreground, 255, all else being 0; by default the segmenter's own. soft: keep the map's greys.
    batch_size: by default the segmenter's own. overwrite: make all of them anew. tick: is told how many of how many are
    done. Raises `UserError` where `out` holds masks that were made otherwise.
    """
    folder, cut = Path(out).expanduser(), segmenter.threshold if threshold is None else threshold
    if not 0 < cut <= 1:
        raise UserError(f"threshold={cut} cuts nothing apart: choose above 0, up to 1")
    if batch_size is not None and batch_size < 0:
        raise UserError(f"batch_size={batch_size} is negative: choose a number of pictures, or 0 for all at once")
    about = {**segmenter.about, **({"soft": True} if soft else {"threshold": cut})}
    if not overwrite:
        mask_folder.check_settings(folder, about)
    files = mask_folder.mask_paths(dataset, examples, folder)
    waiting, empty, missing = list[Example](), list[str](), dict[str, str]()
    done = 0

    def one_more(example: Example, pixels: np.ndarray | None) -> None:
        nonlocal done
        done += 1
        tick(done, len(examples))
        if pixels is not None and pixels.max() < MIN_FOREGROUND:
            empty.append(example.key)

    for example in examples:
        if overwrite:  # all of them first, so that after a stop no old one is taken for a new one
            files[example.key].unlink(missing_ok=True)
        pixels = mask_folder.existing_mask(files[example.key], dataset, example)
        if pixels is None:
            waiting.append(example)
        else:
            one_more(example, pixels)
    before, noted = done, False
    size = (segmenter.batch_size if batch_size is None else batch_size) or max(1, len(waiting))
    for start in range(0, len(waiting), size):
        with explain_out_of_memory(size), closing(segmenter.segment(dataset, waiting[start : start + size])) as found:
            for example, result in found:
                if isinstance(result, str):
                    missing[example.key], pixels = result, None
                else:
                    values = result.float().cpu().numpy()
                    pixels = ((values * 255).round() if soft else (values >= cut) * 255).astype(np.uint8)
                    if not noted:
                        mask_folder.write_settings(folder, about)
                        noted = True
                    mask_folder.write_mask(files[example.key], pixels)
                one_more(example, pixels)
    return MakeResult(done - before - len(missing), before, tuple(empty), missing)


@contextmanager
def explain_out_of_memory(size: int) -> Iterator[None]:
    """What a device says that has too little memory becomes a sentence."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise UserError(f"{size} pictures at once do not fit into the device's memory; lower --batch-size") from None


def classes_in(dataset: Dataset, example: Example) -> list[tuple[int, str]]:
    """The classes in a picture, several of multi-label data, as numbers and as words."""
    labels = example.labels or (example.label,)
    return [(label, dataset.classnames[label].replace("_", " ")) for label in labels]


def read_images(dataset: Dataset, examples: Sequence[Example]) -> tuple[list[Example], list[Tensor], dict[str, str]]:
    """Examples whose pictures can be read, these uint8 `(3, H, W)`, and why others cannot, by key."""
    seen, images, unread = list[Example](), list[Tensor](), dict[str, str]()
    for example in examples:
        try:
            images.append(dataset.read(example).image)
            seen.append(example)
        except UserError as error:
            unread[example.key] = str(error)
    return seen, images, unread
