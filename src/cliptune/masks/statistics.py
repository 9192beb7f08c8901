"""Mask statistics: foreground share, missing masks, outliers, agreement (IoU) of two sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cliptune.errors import UserError
from cliptune.masks.source import MaskProblem, MaskSource, MissingMaskError
from cliptune.masks.validate import is_empty, is_full

if TYPE_CHECKING:
    from cliptune.data.loader import ExampleSet

#: A mask is an outlier if its foreground share differs from the class median by more than this many robust standard
#: deviations and by more than this share.
DEVIATIONS, MIN_DISTANCE = 3.5, 0.2
#: Number of images that a class needs for outliers to be determined.
MIN_CLASS_SIZE = 4


@dataclass(frozen=True)
class MaskStatistics:
    """Statistics of one mask.

    Args:
        index: Position of its example.
        key: Key of its example.
        label: Class of its example.
        share: Share of foreground, in [0, 1].
        soft: Share of pixels that are neither 0 nor 255.
        empty: Whether no pixel is mostly foreground.
        full: Whether no pixel is mostly background.
        iou: Intersection over union with the mask of the other source, or None without one.
    """

    index: int
    key: str
    label: int
    share: float
    soft: float
    empty: bool
    full: bool
    iou: float | None = None


def measure_masks(
    examples: ExampleSet,
    source: MaskSource,
    against: MaskSource | None = None,
    tick: Callable[[int], None] = lambda done: None,
) -> tuple[list[MaskStatistics], list[MaskProblem]]:
    """Statistics of the masks that `source` (and `against`) has for the examples, and the problems of the other masks.

    tick: Called with the number of examples done.
    """
    sources = [source] if against is None else [source, against]
    known = {p.key: p for each in sources for p in reversed(each.find_problems(examples.examples))}
    rows, problems = list[MaskStatistics](), list[MaskProblem]()
    for i, example in enumerate(examples.examples):
        tick(i + 1)
        if example.key in known:
            problems.append(known[example.key])
            continue
        try:
            image = examples.image(i)
            masks = [each.mask(example, image) for each in sources]
        except MissingMaskError as error:
            problems.append(MaskProblem(example.key, "missing", str(error)))
            continue
        except UserError as error:
            problems.append(MaskProblem(example.key, "unreadable", str(error)))
            continue
        own = masks[0]
        rows.append(
            MaskStatistics(
                index=i,
                key=example.key,
                label=example.label,
                share=int(own.sum(dtype=torch.int64)) / (255 * own.numel()),
                soft=((own > 0) & (own < 255)).float().mean().item(),
                empty=is_empty(own),
                full=is_full(own),
                iou=iou(own, masks[1]) if against is not None else None,
            )
        )
    return rows, problems


def iou(one: Tensor, other: Tensor) -> float:
    """Intersection over union, for soft masks the sum of minima over the sum of maxima; 1 if both are empty."""
    a, b = one.float(), other.float()
    union = a.maximum(b).sum().item()
    return a.minimum(b).sum().item() / union if union else 1.0


def mean_by_class(rows: Sequence[MaskStatistics], value: Callable[[MaskStatistics], float]) -> dict[int, float]:
    """Mean of a value per class, in ascending order."""
    groups: dict[int, list[float]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(value(row))
    return dict(sorted(((label, float(np.mean(group))) for label, group in groups.items()), key=lambda item: item[1]))


def find_outliers(rows: Sequence[MaskStatistics]) -> list[tuple[MaskStatistics, float]]:
    """Masks whose foreground share differs from that of their class, with the class median; largest deviation first."""
    found = []
    for label in dict.fromkeys(row.label for row in rows):
        group = [row for row in rows if row.label == label]
        if len(group) < MIN_CLASS_SIZE:
            continue
        shares = np.array([row.share for row in group])
        middle = float(np.median(shares))
        away = abs(shares - middle)
        # 1.4826 times the median absolute deviation estimates the standard deviation of a normal distribution.
        reach = max(MIN_DISTANCE, DEVIATIONS * 1.4826 * float(np.median(away)))
        found += [(row, middle) for row, distance in zip(group, away, strict=True) if distance > reach]
    return sorted(found, key=lambda item: -abs(item[0].share - item[1]))
