"""Tune on one dataset, test on others with classes of their own (CoCoOp's second protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cliptune.data.dataset import Dataset
from cliptune.data.elsewhere import test_sets
from cliptune.data.splits import note_short
from cliptune.errors import UserError
from cliptune.types import Task, TestSet

#: What the papers test on after ImageNet, in their order.
TEN = (
    "caltech101",
    "oxford_pets",
    "stanford_cars",
    "oxford_flowers",
    "food101",
    "fgvc_aircraft",
    "sun397",
    "dtd",
    "eurosat",
    "ucf101",
)
#: All that the papers' few-shot tables are over, by one name.
ELEVEN, BENCHMARKS = "benchmarks11", ("imagenet", *TEN)
#: Names that no target may have.
TAKEN = ("source", "average")


def cross_dataset(
    dataset: Dataset, *, shots: int = 16, seeds: Sequence[int] = (1, 2, 3), targets: Sequence[str] = ()
) -> Iterator[Task]:
    """One task a seed: tuned on all classes of `dataset`. Test sets: "source", its own, and each target by name, among
    the target's own classes; "average" is over the targets.

    targets: specs of datasets, or domains of `dataset`; those of the papers where it is ImageNet and none are named.
    """
    targets = targets or (TEN if dataset.name == "imagenet" else ())
    if not targets:
        raise UserError(f"cross_dataset tests on other data: name some with --targets, as for --data ({dataset.name})")
    yield from across("cross_dataset", dataset, shots, seeds, test_sets(dataset, targets, TAKEN))


def across(
    name: str, dataset: Dataset, shots: int, seeds: Sequence[int], targets: Mapping[str, TestSet]
) -> Iterator[Task]:
    """One task a seed, tuned on all classes of `dataset` and tested on its own test set and on `targets`."""
    note_short(dataset.sizes(), shots, dataset.classnames)
    tests = {"source": TestSet(tuple(dataset.examples("test")), dataset.classnames), **targets}
    for seed in seeds:
        train, val = dataset.draw(shots, seed)
        yield Task(name, dataset, tuple(train), tuple(val), tests, dataset.classnames, seed, averaged=tuple(targets))
