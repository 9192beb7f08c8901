"""What was learned, for people: context in words, and how far tokens move either tower."""

from __future__ import annotations

from dataclasses import dataclass

#: Word and value, nearest first, for each context vector.
NearestWords = tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True)
class PromptWords:
    """A method's context vectors as their nearest words: by Euclidean distance, and by cosine."""

    method: str
    euclidean: NearestWords
    cosine: NearestWords


@dataclass(frozen=True)
class FeatureShift:
    """How far a method's tokens move the pooled token of either tower after each block, relative to the frozen model:
    as trained, and before the first step."""

    method: str
    text: tuple[float, ...]
    image: tuple[float, ...]
    text_start: tuple[float, ...] = ()
    image_start: tuple[float, ...] = ()
