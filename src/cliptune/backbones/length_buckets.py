"""Buckets of texts of similar length, which attention pads to one length each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

#: Padded tokens that a further bucket must save: about as much time as its calls take on a CPU.
BUCKET_COST = 192


def length_buckets(lengths: Sequence[int]) -> list[int]:
    """The largest length of each bucket, ascending, for the fewest padded tokens plus `BUCKET_COST` per bucket."""
    counts = Counter(lengths)
    sizes = sorted(counts)
    # The cheapest buckets for the texts of the shortest 0, 1, 2, ... lengths.
    best: list[tuple[int, list[int]]] = [(0, [])]
    for stop, longest in enumerate(sizes, 1):
        best.append(
            min(
                (
                    best[start][0] + BUCKET_COST + longest * sum(counts[size] for size in sizes[start:stop]),
                    [*best[start][1], longest],
                )
                for start in range(stop)
            )
        )
    return best[-1][1]
