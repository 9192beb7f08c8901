"""Nearest vocabulary words of learned context vectors."""

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
    """A word with its Euclidean distance (smaller is nearer) or cosine similarity (larger is nearer)."""

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
    """The `count` nearest rows of the token `embedding` `(V, width)` for each of `vectors` `(m, width)`, nearest first.

    Args:
        word: Function from token id to text.
        measure: "euclidean", as in CoOp's interpret_prompt.py, depends on the norms of the embeddings. "cosine"
            compares directions only.
        usable: Whether each token may be listed; by default all.
    """
    vectors, embedding = vectors.detach().float().cpu(), embedding.detach().float().cpu()
    if vectors.ndim != 2 or vectors.shape[1] != embedding.shape[1]:
        raise ValueError(f"vectors must be (m, {embedding.shape[1]}), got {tuple(vectors.shape)}")
    if measure == "cosine":
        values = normalize(vectors, dim=-1) @ normalize(embedding, dim=-1).T
    else:
        # Computed from differences, so that the distance of a vector to itself is exactly zero.
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
