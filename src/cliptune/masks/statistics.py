"""What masks are like: how much is foreground, which lack, which stand out, how far two sources agree."""

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

#: A mask is unlike its class if its share is this far from the class's median, in robust deviations and in itself.
DEVIATIONS, MIN_DISTANCE = 3.5, 0.2
#: Pictures that a class needs for that.
MIN_CLASS_SIZE = 4


@dataclass(frozen=True)
class MaskStatistics:
    """One mask: `share` of foreground, `soft` share of pixels that are neither 0 nor 255, `iou` with the other source's
    (None without one). `index` is its example's position, `label` its class."""

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

    tick: told how many are done.
    """
    sources = [source] if against is None else [source, against]
    seen = {fault.key: fault for each in sources for fault in reversed(each.faults(examples.examples))}
    rows, faults = list[MaskStatistics](), list[MaskProblem]()
    for i, example in enumerate(examples.examples):
        tick(i + 1)
        if example.key in seen:
            faults.append(seen[example.key])
            continue
        try:
            image = examples.image(i)
            masks = [each.mask(example, image) for each in sources]
        except MissingMaskError as error:
            faults.append(MaskProblem(example.key, "missing", str(error)))
            continue
        except UserError as error:
            faults.append(MaskProblem(example.key, "unreadable", str(error)))
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
    return rows, faults


def iou(one: Tensor, other: Tensor) -> float:
    """Sum of the smaller over sum of the larger values: intersection over union, also of soft masks; 1 if both are
    empty."""
    a, b = one.float(), other.float()
    union = a.maximum(b).sum().item()
    return a.minimum(b).sum().item() / union if union else 1.0


def mean_by_class(rows: Sequence[MaskStatistics], value: Callable[[MaskStatistics], float]) -> dict[int, float]:
    """The mean of a value over each class's masks, smallest first."""
    groups: dict[int, list[float]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(value(row))
    return dict(sorted(((label, float(np.mean(group))) for label, group in groups.items()), key=lambda item: item[1]))


def find_outliers(rows: Sequence[MaskStatistics]) -> list[tuple[MaskStatistics, float]]:
    """Masks whose share of foreground is unlike that of the others of their class, with the class's median; the most
    unlike first."""
    found = []
    for label in dict.fromkeys(row.label for row in rows):
        group = [row for row in rows if row.label == label]
        if len(group) < MIN_CLASS_SIZE:
            continue
        shares = np.array([row.share for row in group])
        middle = float(np.median(shares))
        away = abs(shares - middle)
        # 1.4826 makes the median distance the deviation of a normal distribution.
        reach = max(MIN_DISTANCE, DEVIATIONS * 1.4826 * float(np.median(away)))
        found += [(row, middle) for row, distance in zip(group, away, strict=True) if distance > reach]
    return sorted(found, key=lambda item: -abs(item[0].share - item[1]))
