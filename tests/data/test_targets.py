"""Targets of images with one or several classes."""

import random

import torch

from cliptune.backbones.preprocess import Preprocess
from cliptune.data import splits
from cliptune.data.loader import ExampleSet
from cliptune.data.targets import columns_of_targets, labels_in, multi_hot
from cliptune.data.transforms import PRESETS
from cliptune.types import Example
from tiny_tasks import task

CPU = torch.device("cpu")
SEVERAL = [Example("a", 2, labels=(0, 2)), Example("b", 1, labels=(1,)), Example("c", 2, labels=(1, 2))]


def test_one_column_per_class():
    assert multi_hot(SEVERAL, 3).tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert multi_hot(SEVERAL[1:2], 5).tolist() == [[0, 1, 0, 0, 0]]
    assert columns_of_targets([*SEVERAL, Example("d", 3)]) == 4
    assert columns_of_targets([Example("a", 0), Example("b", 1)]) is None and columns_of_targets([]) is None
    assert [labels_in(e) for e in (*SEVERAL, Example("d", 3))] == [(0, 2), (1,), (1, 2), (3,)]


def test_batches_carry_the_targets_of_their_examples():
    toy = task()
    shown = [(e.label, 3 + i % 2) for i, e in enumerate(toy.train)]
    several = [
        Example(e.key, e.label, labels=s, background=e.background) for e, s in zip(toy.train, shown, strict=True)
    ]
    examples = ExampleSet(toy.dataset, several, Preprocess((32, 32)), augment=PRESETS["crop"](32), seed=1)
    for batch in examples.epoch_batches(0, 5, CPU):
        expected = [[int(c in shown[i]) for c in range(5)] for i in batch.index.tolist()]
        assert batch.targets.tolist() == expected
        assert batch.labels.tolist() == [toy.train[i].label for i in batch.index.tolist()]
    plain = ExampleSet(toy.dataset, toy.train, Preprocess((32, 32)))
    assert all(batch.targets is None for batch in plain.in_order(5, CPU))


def test_halves_keep_only_their_classes():
    (first,) = splits.select_labels(SEVERAL, (2, 7))[:1]
    assert (first.label, first.labels) == (0, (0,))
    assert [e.key for e in splits.select_labels(SEVERAL, (1,))] == ["b"]
    seen = splits.select_labels(SEVERAL, (1,), shown=True)
    assert [(e.key, e.label, e.labels) for e in seen] == [("b", 0, (0,)), ("c", 0, (0,))]
    assert splits.select_labels([Example("d", 4)], (4,), shown=True)[0].labels == ()
    assert splits.count_classes(SEVERAL) == {0: 1, 2: 2, 1: 2}


def test_validation_shots_apart_from_training_shots():
    groups = [[f"{c}{i}" for i in range(9)] for c in "abc"] + [["d0", "d1"]]
    train, val = splits.sample_disjoint(groups, 3, random.Random(5))
    rng = random.Random(5)
    assert train[:3] == [rng.sample(group, 3) for group in groups[:3]] and train[3] == ["d0", "d1"]
    left = [[x for x in group if x not in t] for group, t in zip(groups, train, strict=True)]
    assert val[:3] == [rng.sample(group, 3) for group in left[:3]] and val[3] == []
    assert [len(v) for v in splits.sample_disjoint(groups, 5, random.Random(5))[1]] == [4, 4, 4, 0]
    assert splits.sample_disjoint(groups, 0, random.Random(5)) == (groups, [[], [], [], []])
    other = splits.sample_disjoint(groups, 3, random.Random(5), {"a0", "a1", "a2"})[1]
    assert not set(other[0]) & {"a0", "a1", "a2"}
