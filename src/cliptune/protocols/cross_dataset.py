"""Cross-dataset transfer: train on one dataset, test on others with other classes (introduced with CoCoOp)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cliptune.data.dataset import Dataset
from cliptune.errors import UserError
from cliptune.protocols.common.benchmarks import TRANSFER_TARGETS
from cliptune.protocols.common.transfer import pool_tasks, target_test_sets, transfer_tasks
from cliptune.types import Task


def cross_dataset(
    dataset: Dataset,
    *,
    shots: int = 16,
    seeds: Sequence[int] = (1, 2, 3),
    targets: Sequence[str] = (),
    pool: bool = False,
) -> Iterator[Task]:
    """One task per seed, trained on all classes of `dataset`.

    Test sets: "source", the dataset's own, and one per target under its name, with the target's own classes. "average"
    is over the targets.

    targets: Specs of datasets, or domains of `dataset`. By default, the papers' targets for ImageNet; for other
    datasets, no targets raise `UserError`.

    pool: Train on all training images of the only target, without their labels, and test on it alone.
    """
    if pool:
        yield from pool_tasks("cross_dataset", dataset, seeds, targets)
        return
    targets = targets or (TRANSFER_TARGETS if dataset.name == "imagenet" else ())
    if not targets:
        raise UserError(
            f"cross_dataset tests on other datasets, and none are known for {dataset.name}; name them with --targets, "
            f"as for --data"
        )
    yield from transfer_tasks("cross_dataset", dataset, shots, seeds, target_test_sets(dataset, targets))
