"""Test sets in other datasets, or in another guise of the same: what a model tuned on one is tested on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

from cliptune.data import sources
from cliptune.data.dataset import Dataset
from cliptune.errors import UserError
from cliptune.types import TestSet

#: What was opened for a dataset, by spec, so that all tasks of a sweep on it share their targets' features too.
_opened: WeakKeyDictionary[Dataset, dict[str, Dataset]] = WeakKeyDictionary()


def transfer_test_sets(dataset: Dataset, targets: Sequence[str], taken: Sequence[str] = ()) -> dict[str, TestSet]:
    """A test set for each target, by its name, on all of the target's own classes in its own sentences.

    targets: domains of `dataset`, or specs of other datasets, found where it was. They go by the dataset's name, or by
    the spec where that is `taken` or another's too. Raises `UserError` for one that is there twice.
    """
    found: dict[str, TestSet] = {}
    others = {spec: open_target(dataset, spec) for spec in targets if spec not in dataset.domains()}
    names = Counter((dataset.name, *taken, *(other.name for other in others.values())))
    for spec in targets:
        if spec in dataset.domains():
            name, test = spec, TestSet(tuple(dataset.domain(spec)), dataset.classnames)
        else:
            other = others[spec]
            name = other.name if names[other.name] == 1 else spec
            test = TestSet(tuple(other.evaluation_examples()), other.classnames, other, other.templates)
        name = name.replace("/", "_")  # what follows a slash is a variant of a test set
        if name in (*found, *taken):
            raise UserError(f"the target {spec!r} is there twice, or is called like another test set; name each once")
        found[name] = test
    return found


def open_target(dataset: Dataset, spec: str) -> Dataset:
    """Another dataset, told to read as `dataset` is; sentences and draws are those of the latter alone."""
    held = _opened.setdefault(dataset, {})
    if spec not in held:
        held[spec] = sources.get(spec, replace(dataset.reading, templates=(), draws=""))
    return held[spec]
