"""Exceptions with messages for users, and values as they appear in messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


class UserError(ValueError):
    """A mistake that the user can correct. The message is one sentence: what was wrong, the value and what to do."""


def shown(value: Any) -> str:
    """`repr` of a value, shortened to one line."""
    if isinstance(value, int) and abs(value) >= 10**40:  # Python refuses to print the longest integers
        return f"a number of {int(abs(value).bit_length() * math.log10(2)) + 1} digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def os_reason(error: OSError) -> str:
    """The reason of an `OSError` in lower case, such as "permission denied", without its path."""
    return (error.strerror or type(error).__name__).lower()


class Unfinished(Exception):
    """Some runs of a sweep failed. results: those of the others. sentences: messages about the failed runs."""

    def __init__(self, results: Sequence[Any], sentences: Sequence[str]):
        super().__init__("; ".join(sentences))
        self.results, self.sentences = list(results), list(sentences)
