"""Tasks that train on one dataset and also test on others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cliptune.data import sources
from cliptune.data.dataset import Dataset
from cliptune.data.splits import warn_of_small_classes
from cliptune.errors import UserError
from cliptune.protocols.common.pool import unlabelled
from cliptune.types import Task, TestSet

#: Names that no target may have: the source's test set, and the average over the targets.
RESERVED_NAMES = ("source", "average")


def target_test_sets(dataset: Dataset, targets: Sequence[str]) -> dict[str, TestSet]:
    """Test set by name for each target, with all of the target's classes and its own templates.

    Args:
        dataset: The training dataset. Targets are opened with its settings, except for templates and draws.
        targets: Domains of `dataset`, or specs of other datasets. A test set is named after its dataset, or by the spec
            if that name is in `RESERVED_NAMES` or occurs twice.

    Raises:
        UserError: If two targets have the same name.
    """
    others = {spec: _open_target(dataset, spec) for spec in targets if spec not in dataset.domains()}
    counts = Counter((dataset.name, *RESERVED_NAMES, *(other.name for other in others.values())))
    found: dict[str, TestSet] = {}
    for spec in targets:
        if spec in dataset.domains():
            name, test = spec, TestSet(tuple(dataset.domain(spec)), dataset.classnames)
        else:
            other = others[spec]
            name = other.name if counts[other.name] == 1 else spec
            test = TestSet(tuple(other.evaluation_examples()), other.classnames, other, other.templates)
        name = name.replace("/", "_")  # a slash separates a test set from its variant
        if name in (*found, *RESERVED_NAMES):
            raise UserError(f"the target {spec!r} occurs twice, or has the name of another test set; name each once")
        found[name] = test
    return found


def transfer_tasks(
    name: str, dataset: Dataset, shots: int, seeds: Sequence[int], targets: dict[str, TestSet]
) -> Iterator[Task]:
    """One task per seed: train on all classes of `dataset`, test on its own test set, "source", and on `targets`."""
    warn_of_small_classes(dataset.sizes(), shots, dataset.classnames)
    tests = {"source": TestSet(tuple(dataset.examples("test")), dataset.classnames), **targets}
    for seed in seeds:
        train, val = dataset.draw(shots, seed)
        yield Task(name, dataset, tuple(train), tuple(val), tests, dataset.classnames, seed, averaged=tuple(targets))


def pool_tasks(name: str, dataset: Dataset, seeds: Sequence[int], targets: Sequence[str]) -> Iterator[Task]:
    """One task per seed: train on all training images of the only target without their labels, among its class names,
    and test on it. `dataset` was used by the teacher.

    Raises `UserError` unless there is exactly one target, a dataset with training images.
    """
    if len(targets) != 1:
        raise UserError(
            f"a method with an unlabelled pool trains on the images of one target, got {len(targets)}; name one with "
            f"--targets, as for --data, and start a run for each"
        )
    if targets[0] in dataset.domains():
        raise UserError(
            f"the target {targets[0]!r} is a domain of {dataset.name} without training images of its own; name another "
            f"dataset with --targets"
        )
    ((found, test),) = target_test_sets(dataset, targets).items()
    target: Dataset = test.dataset
    images = unlabelled(target.training_examples())
    if not images:
        raise UserError(f"the target {targets[0]!r} has no training images to form a pool; name another one")
    tests = {found: TestSet(test.examples, test.classnames)}
    for seed in seeds:
        task = Task(name, target, images, (), tests, target.classnames, seed, averaged=(found,))
        yield replace(task, pool=True, transductive=True)


def _open_target(dataset: Dataset, spec: str) -> Dataset:
    """Open a dataset with the settings of `dataset`, or return the one opened before."""
    key = spec, replace(dataset.reading, templates=(), draws="")
    if key not in dataset.open_targets:
        dataset.open_targets[key] = sources.get(*key)
    return dataset.open_targets[key]
