"""Buckets with the fewest padded tokens."""

from itertools import combinations

import pytest

from cliptune.backbones import length_buckets
from cliptune.backbones.length_buckets import length_buckets as buckets


def padded(lengths: list[int], bounds: tuple[int, ...] | list[int]) -> int:
    return sum(min(bound for bound in bounds if bound >= length) for length in lengths)


def test_few_texts_share_one_bucket():
    assert buckets([3, 9, 4]) == [9]
    assert buckets([5]) == [5]


def test_many_texts_have_buckets():
    assert buckets([3] * 1000 + [12] * 10) == [3, 12]
    assert buckets([3] * 1000 + [4] * 1000) == [3, 4]


@pytest.mark.parametrize("cost", [0, 1, 7, 40])
def test_no_other_buckets_are_cheaper(cost, monkeypatch):
    monkeypatch.setattr(length_buckets, "BUCKET_COST", cost)
    lengths = [2] * 9 + [3] * 14 + [4] * 7 + [6] * 3 + [9] * 2 + [15]
    sizes = sorted(set(lengths))
    every = [(*some, sizes[-1]) for n in range(len(sizes)) for some in combinations(sizes[:-1], n)]
    assert len(every) == 32
    found = buckets(lengths)
    assert found == sorted(found) and found[-1] == max(lengths)
    assert padded(lengths, found) + cost * len(found) == min(padded(lengths, b) + cost * len(b) for b in every)
