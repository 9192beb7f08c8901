"""A pool of pictures as a coreset method sees it: signals that fit together, and how many to choose of which."""

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
    """Pictures to choose `budget` of: `rows` are their positions in the pool, ascending; `label` their class, or None
    where all classes compete."""

    rows: Tensor
    budget: int
    label: int | None = None


@dataclass(frozen=True)
class Pool:
    """Everything a coreset method is told; see `Signals` for the shapes."""

    method: str
    signals: Signals
    labels: Tensor
    groups: tuple[Group, ...]
    balanced: bool
    variant: Variant
    generator: Generator

    @classmethod
    def of(
        cls,
        method: str,
        signals: Signals,
        labels: Tensor,
        fraction: float,
        balanced: bool,
        variant: Variant,
        generator: Generator,
    ) -> Pool:
        """Raises `UserError` for signals that do not fit together and for fractions that choose nothing."""
        signals, labels = validate_signals(signals, labels)
        checks.require(0 < fraction <= 1, "fraction", fraction, "above 0 and at most 1")
        groups = tuple(_classes(labels, fraction)) if balanced else (_whole(labels, fraction),)
        return cls(method, signals, labels, groups, balanced, variant, generator)

    def need(self, *fields: str) -> list[Tensor]:
        """The signals of these names. Raises `UserError` for the first that is absent."""
        found = [getattr(self.signals, field) for field in fields]
        for field, value in zip(fields, found, strict=True):
            if value is None:
                raise UserError(f"{self.method} needs the signal {field!r}: {DESCRIPTIONS[field]}")
        return found

    def logits(self, rows: Tensor | slice = slice(None), *, val: bool = False) -> Tensor:
        """`(len(rows), C)` of pictures of the pool, or of those held out."""
        s = self.signals
        given, features = (s.val_logits, s.val_features) if val else (s.logits, s.features)
        if given is not None:
            return given[rows]
        if features is None or s.text is None or s.logit_scale is None:
            raise UserError(
                f"{self.method} needs the signal {'val_logits' if val else 'logits'!r}, or those that give it: "
                f"{'val_features' if val else 'features'!r}, 'text' and 'logit_scale'"
            )
        return float(s.logit_scale) * features[rows] @ s.text.T

    def by_group(self, choose: Callable[[Group], Tensor]) -> Selection:
        """What `choose` takes of each group, as positions in the group; groups that are wanted whole are not asked."""
        return Selection(torch.cat([g.rows if g.budget == len(g.rows) else g.rows[choose(g)] for g in self.groups]))

    def extreme(self, scores: Tensor, *, largest: bool) -> Selection:
        """The pictures with the largest or smallest of `scores` `(n,)`, the earlier first among equals."""
        chosen = self.by_group(lambda g: scores[g.rows].sort(descending=largest, stable=True).indices[: g.budget])
        return Selection(chosen.indices, scores=scores)

    def first(self, size: int, legacy: np.random.RandomState) -> int:
        """A position in a group of `size`, drawn; `legacy` serves the variant "dapt"."""
        if self.variant == "dapt":
            return int(legacy.randint(0, size))
        return int(torch.randint(size, (), generator=self.generator, device=self.generator.device))

    def legacy(self) -> np.random.RandomState:
        """The stream that `np.random.seed(seed)` starts in the release, kept private."""
        return np.random.RandomState(self.generator.initial_seed() % 2**32)


def _classes(labels: Tensor, fraction: float) -> list[Group]:
    order = labels.argsort(stable=True)
    found, counts = labels.unique(return_counts=True)
    rows = order.split(counts.tolist())
    return [Group(r, max(1, round(fraction * len(r))), label) for r, label in zip(rows, found.tolist(), strict=True)]


def _whole(labels: Tensor, fraction: float) -> Group:
    n = len(labels)
    budget = round(fraction * n)
    if budget < 1:
        raise UserError(f"fraction={fraction} of {n} pictures is none; take at least {1 / n:.2g}, or balanced=True")
    return Group(torch.arange(n, device=labels.device), budget)
