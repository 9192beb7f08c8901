"""DAPT's other masks: random grids, and files from a folder."""

from __future__ import annotations

import random
import re

import torch

from cliptune.masks.grid import cell_size, grid_mask
from cliptune.masks.pixel_encoding import PixelEncoding, decode_foreground
from golden.case import Case
from golden.compare import Report

GRID, STORED = "DAPT-S random grid masks", "DAPT stored-mask binarisation"
METHODS = (GRID, STORED)


def check(case: Case, report: Report) -> None:
    (_grid if case.method == GRID else _stored)(case, report)


def _grid(case: Case, report: Report) -> None:
    """Both random streams start at the seed; the loader draws one mask per batch."""
    size = case.hyper["size"]
    batches = [[int(i) for i in found.split(",")] for found in re.findall(r"\[([\d, ]+)\]", case.notes)]
    for seed in case.hyper["seeds"]:
        rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
        masks = {}
        for batch in batches:
            mask = grid_mask(size, size, cell_size(generator), rng)
            masks |= dict.fromkeys(batch, mask)
        report.tensor(f"mask.seed{seed}", torch.stack([masks[i] for i in sorted(masks)]))


def _stored(case: Case, report: Report) -> None:
    report.tensor("values", torch.tensor(case.hyper["values"]))
    values = case.tensors["values"].astype("uint8")
    mask, _ = decode_foreground(values, PixelEncoding("release"))
    report.tensor("mask", torch.from_numpy(mask / 255).float().reshape(case.tensors["mask"].shape))
