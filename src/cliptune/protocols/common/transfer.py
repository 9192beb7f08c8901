"""Tasks that train on one dataset and also test on others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cliptune.data.dataset import Dataset
from cliptune.data.splits import warn_of_small_classes
from cliptune.data.transfer_targets import transfer_test_sets
from cliptune.types import Task, TestSet

#: Names that no target may have: the source's test set, and the average over the targets.
RESERVED_NAMES = ("source", "average")


def target_test_sets(dataset: Dataset, targets: Sequence[str]) -> dict[str, TestSet]:
    """Test set by name for each target: a domain of `dataset`, or the spec of another dataset."""
    return transfer_test_sets(dataset, targets, RESERVED_NAMES)


def transfer_tasks(
    name: str, dataset: Dataset, shots: int, seeds: Sequence[int], targets: dict[str, TestSet]
) -> Iterator[Task]:
    """One task per seed: train on all classes of `dataset`, test on its own test set, "source", and on `targets`."""
    warn_of_small_classes(dataset.sizes(), shots, dataset.classnames)
    tests = {"source": TestSet(tuple(dataset.examples("test")), dataset.classnames), **targets}
    for seed in seeds:
        train, val = dataset.draw(shots, seed)
        yield Task(name, dataset, tuple(train), tuple(val), tests, dataset.classnames, seed, averaged=tuple(targets))
