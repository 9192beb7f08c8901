"""Tasks that train on one dataset and also test on others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cliptune.data import sources
from cliptune.data.dataset import Dataset
from cliptune.data.splits import warn_of_small_classes
from cliptune.errors import UserError
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


def _open_target(dataset: Dataset, spec: str) -> Dataset:
    """Open a dataset with the settings of `dataset`, or return the one opened before."""
    key = spec, replace(dataset.reading, templates=(), draws="")
    if key not in dataset.open_targets:
        dataset.open_targets[key] = sources.get(*key)
    return dataset.open_targets[key]
