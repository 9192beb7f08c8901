"""The scores of lengths that DPL's released search leaves beside its checkpoints, `alpha_e<epoch>_{img,txt}.npy`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cliptune.errors import UserError
from cliptune.prompts.length_search import best_lengths

FILE_NAME = re.compile(r"alpha_e\d+_(img|txt)\.npy")


def read_lengths(path: str | Path, swapped: bool = True) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Number of prompt tokens in each layer of the text tower and of the image tower, as found by a search.

    path: One of the two files of an epoch. swapped: Whether the contents of the two files are swapped, as the released
    code writes them. Raises `UserError` if a file is missing or damaged.
    """
    path = Path(path).expanduser()
    if not FILE_NAME.fullmatch(path.name):
        raise UserError(f"{path} is not called as DPL's files are, alpha_e<epoch>_img.npy or alpha_e<epoch>_txt.npy")
    text, image = (
        _read_scores(path.with_name(re.sub("(img|txt)[.]npy$", f"{kind}.npy", path.name))) for kind in ("txt", "img")
    )
    if swapped:
        text, image = image, text
    return best_lengths(text), best_lengths(image)


def _read_scores(path: Path) -> Tensor:
    """`(layers, K + 1)`, one score for each length from 0."""
    if not path.is_file():
        raise UserError(f"no file at {path}; both files of an epoch are needed")
    try:
        held = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: no larger than the file, whatever it says
        scores = torch.from_numpy(held.astype(np.float32, casting="same_kind"))
    except Exception as error:  # what Python's own parser says of a header among them
        raise UserError(f"{path} is damaged or holds no plain array ({type(error).__name__})") from None
    if scores.ndim != 2 or not scores.numel() or not scores.isfinite().all():
        raise UserError(f"{path} holds {tuple(scores.shape)} numbers, not one score for each layer and length")
    return scores
