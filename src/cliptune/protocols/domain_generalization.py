"""Tune on one dataset, test on the same classes seen otherwise: sketches, renditions, other styles (CoOp's second
protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cliptune.data.dataset import Dataset
from cliptune.data.transfer_targets import transfer_test_sets
from cliptune.errors import UserError
from cliptune.protocols.cross_dataset import RESERVED_NAMES, transfer_tasks
from cliptune.types import Task


def domain_generalization(
    dataset: Dataset, *, shots: int = 16, seeds: Sequence[int] = (1, 2, 3), targets: Sequence[str] = ()
) -> Iterator[Task]:
    """One task a seed: tuned on all classes of `dataset`. Test sets: "source", its own, and each target by name, among
    the classes that the target has; "average" is over the targets.

    targets: domains of `dataset` (styles of the bundled drawings) or specs of datasets with classes of the same names;
    what is usual for the dataset where none are named.
    """
    targets = targets or dataset.shifted()
    if not targets:
        raise UserError(
            f"domain_generalization tests on shifted sets, and none are known for {dataset.name}: name some with "
            f"--targets, as for --data"
        )
    tests = transfer_test_sets(dataset, targets, RESERVED_NAMES)
    known = set(map(_plain, dataset.classnames))
    for name, test in tests.items():
        others = [c for c in test.classnames if _plain(c) not in known]
        if others:
            raise UserError(
                f"{name} has {len(others)} classes that {dataset.name} has not, such as {others[0]!r}; "
                f"domain_generalization wants the same classes: use cross_dataset"
            )
    yield from transfer_tasks("domain_generalization", dataset, shots, seeds, tests)


def _plain(name: str) -> str:
    return name.replace("_", " ").lower()
