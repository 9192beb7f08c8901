"""What learned context is like in words: the nearest words of the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

Measure = Literal["euclidean", "cosine"]


@dataclass(frozen=True)
class NearWord:
    """A word and how near it is: a Euclidean distance (the smaller the nearer) or a cosine (the larger)."""

    word: str
    value: float


def nearest_words(
    vectors: Tensor,
    embedding: Tensor,
    word: Callable[[int], str],
    *,
    count: int = 3,
    measure: Measure = "euclidean",
    usable: Sequence[bool] | None = None,
) -> list[list[NearWord]]:
    """For each of `vectors` `(m, width)` the `count` nearest rows of the token `embedding` `(V, width)`, best first.

    word: token number -> text. measure: "euclidean" is what CoOp's interpret_prompt.py lists; it depends on the words'
    lengths, where "cosine" looks at direction alone. usable: of each token, whether it may be listed.
    """
    vectors, embedding = vectors.detach().float().cpu(), embedding.detach().float().cpu()
    if vectors.ndim != 2 or vectors.shape[1] != embedding.shape[1]:
        raise ValueError(f"vectors must be (m, {embedding.shape[1]}), got {tuple(vectors.shape)}")
    if measure == "cosine":
        values = normalize(vectors, dim=-1) @ normalize(embedding, dim=-1).T
    else:
        # By differences, not products: to a vector that is a word's own, the distance is then exactly zero.
        values = -torch.cdist(vectors, embedding, compute_mode="donot_use_mm_for_euclid_dist")
    words = len(embedding)
    if usable is not None:
        values, words = values.masked_fill(~torch.tensor(usable), -float("inf")), sum(usable)
    best = values.topk(min(count, words), dim=1)
    sign = 1 if measure == "cosine" else -1
    return [
        [NearWord(word(i), sign * v) for v, i in zip(row_v, row_i, strict=True)]
        for row_v, row_i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
