"""Tune on the first half of the classes, test on it and on the other half (CoCoOp's protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cliptune.data.dataset import Dataset
from cliptune.data.splits import base_and_novel, count_classes, select_labels, warn_of_small_classes
from cliptune.errors import UserError
from cliptune.types import Task, TestSet


def base_to_novel(
    dataset: Dataset, *, shots: int = 16, seeds: Sequence[int] = (1, 2, 3), joint: bool = False
) -> Iterator[Task]:
    """One task a seed. Test sets: "base" and "novel", each over its own names alone, and "base/<variant>".

    Shots are drawn from all classes before the halves are cut, so base shots equal those of the all-class draw of the
    same seed; classes without training examples vanish. Pictures of several classes train for the one they were drawn
    for, and test each half of which they show something; the classes of the other half are not counted.

    joint: also a test set "joint", of all pictures with all names to choose from, whose parts are "base/joint" and
    "novel/joint".
    """
    sizes = dataset.sizes()
    labels = list(sizes or count_classes(dataset.examples("test")))  # of data to test on alone
    parts: dict[str, tuple[int, ...]] = dict(zip(("base", "novel"), base_and_novel(labels), strict=True))
    if len(parts["novel"]) < 2:
        raise UserError(f"base_to_novel needs at least 4 classes, but {dataset.name} has {len(labels)}; use few_shot")
    warn_of_small_classes({label: sizes[label] for label in sizes if label in parts["base"]}, shots, dataset.classnames)
    for seed in seeds:
        train, val = dataset.draw(shots, seed)
        tests = {}
        for part, labels in parts.items():
            names = tuple(dataset.classnames[label] for label in labels)
            tests[part] = TestSet(select_labels(dataset.examples("test"), labels, shown=True), names)
        if joint:
            tests["joint"] = _joint(dataset, parts)
        base = parts["base"]
        for variant, examples in dataset.variants().items():
            tests[f"base/{variant}"] = TestSet(select_labels(examples, base), tests["base"].classnames)
        yield Task(
            "base_to_novel",
            dataset,
            select_labels(train, base),
            select_labels(val, base),
            tests,
            tests["base"].classnames,
            seed,
        )


def _joint(dataset: Dataset, parts: Mapping[str, tuple[int, ...]]) -> TestSet:
    """All pictures with all names, base before novel."""
    order = [label for labels in parts.values() for label in labels]
    held = {f"{part}/joint": frozenset(map(order.index, labels)) for part, labels in parts.items()}
    names = tuple(dataset.classnames[label] for label in order)
    return TestSet(select_labels(dataset.examples("test"), order, shown=True), names, parts=held)
