"""The pool of images that a coreset method selects from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from cliptune import checks
from cliptune.coresets.common.signals import Selection, Signals, Variant
from cliptune.coresets.common.validate import DESCRIPTIONS, validate_signals
from cliptune.errors import UserError


@dataclass(frozen=True)
class Group:
    """Images of which `budget` are selected.

    Args:
        rows: `(m,)`, their positions in the pool, ascending.
        budget: Number of images to select.
        label: Their class, or None if the group contains all classes.
    """

    rows: Tensor
    budget: int
    label: int | None = None


@dataclass(frozen=True)
class Pool:
    """Validated signals and labels of a pool of n images, split into groups; see `Signals` for the shapes.

    Args:
        method: Name of the coreset method, for error messages.
        groups: One group per class if `balanced`, else one group of all images.
        generator: Source of randomness of the methods that draw.
    """

    method: str
    signals: Signals
    labels: Tensor
    groups: tuple[Group, ...]
    balanced: bool
    variant: Variant
    generator: Generator

    @classmethod
    def create(
        cls,
        method: str,
        signals: Signals,
        labels: Tensor,
        fraction: float,
        balanced: bool,
        variant: Variant,
        generator: Generator,
    ) -> Pool:
        """Raises `UserError` for signals that do not fit together and for a fraction that selects no image."""
        signals, labels = validate_signals(signals, labels)
        checks.require(0 < fraction <= 1, "fraction", fraction, "above 0 and at most 1")
        groups = _groups_by_class(labels, fraction) if balanced else (_whole_pool(labels, fraction),)
        return cls(method, signals, labels, groups, balanced, variant, generator)

    def require(self, *fields: str) -> list[Tensor]:
        """The signals of these names. Raises `UserError` for the first that is absent."""
        found = [getattr(self.signals, field) for field in fields]
        for field, value in zip(fields, found, strict=True):
            if value is None:
                raise UserError(f"{self.method} needs the signal {field!r}: {DESCRIPTIONS[field]}")
        return found

    def logits(self, rows: Tensor | slice = slice(None), *, val: bool = False) -> Tensor:
        """Logits `(len(rows), C)` of images of the pool, or of validation images if `val`."""
        s = self.signals
        given, features = (s.val_logits, s.val_features) if val else (s.logits, s.features)
        if given is not None:
            return given[rows]
        if features is None or s.text is None or s.logit_scale is None:
            raise UserError(
                f"{self.method} needs the signal {'val_logits' if val else 'logits'!r}, or the signals to compute it: "
                f"{'val_features' if val else 'features'!r}, 'text' and 'logit_scale'"
            )
        return float(s.logit_scale) * features[rows] @ s.text.T

    def select_by_group(self, choose: Callable[[Group], Tensor]) -> Selection:
        """Select in each group the positions within the group that `choose` returns.

        `choose` is not called for a group whose budget is its size.
        """
        return Selection(torch.cat([g.rows if g.budget == len(g.rows) else g.rows[choose(g)] for g in self.groups]))

    def select_by_score(self, scores: Tensor, *, largest: bool) -> Selection:
        """Select the images with the largest or the smallest `scores` `(n,)`; the earlier image wins a tie."""
        found = self.select_by_group(lambda g: scores[g.rows].sort(descending=largest, stable=True).indices[: g.budget])
        return Selection(found.indices, scores=scores)

    def draw_first(self, size: int, legacy: np.random.RandomState) -> int:
        """Draw a position in a group of `size` images: from `legacy` in the variant "dapt", else from `generator`."""
        if self.variant == "dapt":
            return int(legacy.randint(0, size))
        return int(torch.randint(size, (), generator=self.generator, device=self.generator.device))

    def legacy_generator(self) -> np.random.RandomState:
        """The random stream that the DAPT release starts with `np.random.seed(seed)`, without the global state."""
        return np.random.RandomState(self.generator.initial_seed() % 2**32)


def _groups_by_class(labels: Tensor, fraction: float) -> tuple[Group, ...]:
    order = labels.argsort(stable=True)
    classes, counts = labels.unique(return_counts=True)
    rows = order.split(counts.tolist())
    return tuple(Group(r, max(1, round(fraction * len(r))), c) for r, c in zip(rows, classes.tolist(), strict=True))


def _whole_pool(labels: Tensor, fraction: float) -> Group:
    n = len(labels)
    budget = round(fraction * n)
    if budget < 1:
        raise UserError(f"fraction={fraction} of {n} images is none; use at least {1 / n:.2g}, or balanced=True")
    return Group(torch.arange(n, device=labels.device), budget)
