"""Domain generalization: train on one dataset, test on the same classes in other domains (introduced with CoOp)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cliptune.data.dataset import Dataset
from cliptune.errors import UserError
from cliptune.protocols.common.transfer import target_test_sets, transfer_tasks
from cliptune.types import Task


def domain_generalization(
    dataset: Dataset, *, shots: int = 16, seeds: Sequence[int] = (1, 2, 3), targets: Sequence[str] = ()
) -> Iterator[Task]:
    """One task per seed, trained on all classes of `dataset`.

    Test sets: "source", the dataset's own, and one per target under its name, with the classes that the target has.
    "average" is over the targets.

    targets: Domains of `dataset`, such as styles of the bundled images, or specs of datasets with classes of the same
    names. By default, the usual targets of the dataset. Raises `UserError` if there are none, and for a target with
    other classes.
    """
    targets = targets or dataset.shifted()
    if not targets:
        raise UserError(
            f"domain_generalization tests on shifted datasets, and none are known for {dataset.name}; name them with "
            f"--targets, as for --data"
        )
    tests = target_test_sets(dataset, targets)
    known = set(map(_normalised, dataset.classnames))
    for name, test in tests.items():
        others = [c for c in test.classnames if _normalised(c) not in known]
        if others:
            raise UserError(
                f"{name} has {len(others)} classes that {dataset.name} does not have, such as {others[0]!r}, but "
                f"domain_generalization needs the same classes; use cross_dataset"
            )
    yield from transfer_tasks("domain_generalization", dataset, shots, seeds, tests)


def _normalised(name: str) -> str:
    return name.replace("_", " ").lower()
