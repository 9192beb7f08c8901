"""Learned context as words, and the feature shift caused by learned tokens."""

from __future__ import annotations

from dataclasses import dataclass

#: (word, distance or similarity) pairs for each context vector, nearest first.
NearestWords = tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True)
class PromptWords:
    """Nearest words to a method's context vectors, by Euclidean distance and by cosine similarity."""

    method: str
    euclidean: NearestWords
    cosine: NearestWords


@dataclass(frozen=True)
class FeatureShift:
    """Relative change of the pooled token of both towers after each block when a method's tokens are added.

    `text` and `image` are measured after training, `text_start` and `image_start` before the first step.
    """

    method: str
    text: tuple[float, ...]
    image: tuple[float, ...]
    text_start: tuple[float, ...] = ()
    image_start: tuple[float, ...] = ()
