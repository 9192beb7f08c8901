"""Tune on one dataset, test on others with classes of their own (CoCoOp's second protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cliptune.data.dataset import Dataset
from cliptune.data.splits import warn_of_small_classes
from cliptune.data.transfer_targets import transfer_test_sets
from cliptune.errors import UserError
from cliptune.types import Task, TestSet

#: What the papers test on after ImageNet, in their order.
TRANSFER_TARGETS = (
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
BENCHMARKS_NAME, BENCHMARKS = "benchmarks11", ("imagenet", *TRANSFER_TARGETS)
#: Names that no target may have.
RESERVED_NAMES = ("source", "average")


def cross_dataset(
    dataset: Dataset, *, shots: int = 16, seeds: Sequence[int] = (1, 2, 3), targets: Sequence[str] = ()
) -> Iterator[Task]:
    """One task a seed: tuned on all classes of `dataset`. Test sets: "source", its own, and each target by name, among
    the target's own classes; "average" is over the targets.

    targets: specs of datasets, or domains of `dataset`; those of the papers where it is ImageNet and none are named.
    """
    targets = targets or (TRANSFER_TARGETS if dataset.name == "imagenet" else ())
    if not targets:
        raise UserError(f"cross_dataset tests on other data: name some with --targets, as for --data ({dataset.name})")
    yield from transfer_tasks(
        "cross_dataset", dataset, shots, seeds, transfer_test_sets(dataset, targets, RESERVED_NAMES)
    )


def transfer_tasks(
    name: str, dataset: Dataset, shots: int, seeds: Sequence[int], targets: Mapping[str, TestSet]
) -> Iterator[Task]:
    """One task a seed, tuned on all classes of `dataset` and tested on its own test set and on `targets`."""
    warn_of_small_classes(dataset.sizes(), shots, dataset.classnames)
    tests = {"source": TestSet(tuple(dataset.examples("test")), dataset.classnames), **targets}
    for seed in seeds:
        train, val = dataset.draw(shots, seed)
        yield Task(name, dataset, tuple(train), tuple(val), tests, dataset.classnames, seed, averaged=tuple(targets))
