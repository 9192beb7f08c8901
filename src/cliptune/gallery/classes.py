"""Class by class: how often each row is right, and what it takes for what."""

from __future__ import annotations

import torch

from cliptune.gallery.rows import Rows, answers
from cliptune.results.classes import ByClass

#: Whole test sets, whose classes are told apart.
WHOLE = ("base", "novel", "test")


def by_class(held: Rows, limit: int = 500) -> list[ByClass]:
    """Of each whole test set, or of the first there is, what the rows answer to at most `limit` pictures."""
    there = [name for name, test in held.task.tests.items() if test.examples]
    wanted = [name for name in WHOLE if name in there] or there[:1]
    found = []
    for name in wanted:
        said = answers(held, name, limit)
        n = len(said.test.classnames)
        counts = {
            label: torch.bincount(said.labels * n + probabilities.argmax(1), minlength=n * n).view(n, n).tolist()
            for label, probabilities in said.probabilities.items()
        }
        found.append(ByClass(name, said.test.classnames, held.untuned, counts))
    return found
