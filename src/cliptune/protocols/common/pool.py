"""Pools of unlabelled training images, for methods that use no labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cliptune.types import NO_LABEL, Example


def unlabelled(examples: Sequence[Example]) -> tuple[Example, ...]:
    """The examples without their labels."""
    return tuple(replace(example, label=NO_LABEL, labels=()) for example in examples)
