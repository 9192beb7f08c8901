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


def multi_hot(examples: Sequence[Example], classes: int | None = None) -> Tensor | None:
    """float32 `(n, classes)` targets of multi-label examples, 1 per class in the image; None for single-label data.

    classes: The number of columns, by default up to the last label that occurs.
    """
    import torch

    if not any(e.labels for e in examples):
        return None
    pairs = [(i, label) for i, e in enumerate(examples) for label in labels_in(e)]
    targets = torch.zeros(len(examples), classes or 1 + max(label for _, label in pairs))
    targets[tuple(torch.tensor(pairs).T)] = 1
    return targets


def example_weights(examples: Sequence[Example]) -> Tensor | None:
    """float32 `(n,)` with mean 1, or None if all examples weigh the same."""
    import torch

    weights = torch.tensor([e.weight for e in examples], dtype=torch.float64)
    return None if not len(weights) or bool((weights == weights[0]).all()) else (weights / weights.mean()).float()
