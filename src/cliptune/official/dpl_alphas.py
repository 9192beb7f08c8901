"""Scores of prompt lengths from DPL's released search, `alpha_e<epoch>_{img,txt}.npy` in its output folder."""

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
        raise UserError(f"{path} is not named like DPL's files, alpha_e<epoch>_img.npy or alpha_e<epoch>_txt.npy")
    text, image = (
        _read_scores(path.with_name(re.sub("(img|txt)[.]npy$", f"{kind}.npy", path.name))) for kind in ("txt", "img")
    )
    if swapped:
        text, image = image, text
    return best_lengths(text), best_lengths(image)


def _read_scores(path: Path) -> Tensor:
    """Scores `(layers, K + 1)` of the lengths 0..K."""
    if not path.is_file():
        raise UserError(f"no file at {path}; both files of an epoch are needed")
    try:
        saved = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, as a damaged header may claim any size
        scores = torch.from_numpy(saved.astype(np.float32, casting="same_kind"))
    except Exception as error:  # also errors of Python's parser about the header
        raise UserError(f"{path} is damaged or not a plain array ({type(error).__name__}); get a whole copy") from None
    if scores.ndim != 2 or not scores.numel() or not scores.isfinite().all():
        raise UserError(f"{path} has shape {tuple(scores.shape)}, not one finite score for each layer and length")
    return scores
