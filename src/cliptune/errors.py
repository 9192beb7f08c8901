"""The exception that a user's mistake raises, that of a sweep which is not whole, and values as sentences show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class UserError(ValueError):
    """A mistake the user can mend: one sentence with what was wrong, the value, and the way out."""


def shown(value: Any) -> str:
    """A value as Python writes it, cut where it is too long for a sentence."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


class Unfinished(Exception):
    """Some runs of a sweep failed: results of the others, and sentences on those."""

    def __init__(self, results: Sequence[Any], sentences: Sequence[str]):
        super().__init__("; ".join(sentences))
        self.results, self.sentences = list(results), list(sentences)
