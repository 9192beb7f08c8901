"""Labels and multi-label targets of examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cliptune.types import Example

if TYPE_CHECKING:
    from torch import Tensor


def labels_in(example: Example) -> tuple[int, ...]:
    """All labels of an example, also of a single-label one."""
    return example.labels or (example.label,)


def columns_of_targets(examples: Sequence[Example]) -> int | None:
    """Columns of the targets of multi-label examples, up to the last label that occurs; None for single-label data."""
    return 1 + max(max(labels_in(e)) for e in examples) if any(e.labels for e in examples) else None


def multi_hot(examples: Sequence[Example], columns: int) -> Tensor:
    """float32 `(n, columns)` targets of multi-label examples, 1 per class in the image."""
    import torch

    pairs = [(i, label) for i, e in enumerate(examples) for label in labels_in(e)]
    targets = torch.zeros(len(examples), columns)
    targets[tuple(torch.tensor(pairs).T)] = 1
    return targets


def example_weights(examples: Sequence[Example]) -> Tensor | None:
    """float32 `(n,)` with mean 1, or None if all examples weigh the same."""
    import torch

    weights = torch.tensor([e.weight for e in examples], dtype=torch.float64)
    return None if not len(weights) or bool((weights == weights[0]).all()) else (weights / weights.mean()).float()
