"""The one exception a user's mistake raises, and the one of a sweep that is not whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class UserError(ValueError):
    """A mistake the user can mend: one sentence with what was wrong, the value, and the way out."""


class Unfinished(Exception):
    """Some runs of a sweep failed: results of the others, and sentences on those."""

    def __init__(self, results: Sequence[Any], sentences: Sequence[str]):
        super().__init__("; ".join(sentences))
        self.results, self.sentences = list(results), list(sentences)
