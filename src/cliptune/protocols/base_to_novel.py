"""Base-to-novel generalization: train on the first half of the classes, test on both (introduced with CoCoOp)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cliptune.data.dataset import Dataset
from cliptune.data.splits import base_and_novel, count_classes, select_labels, warn_of_small_classes
from cliptune.errors import UserError
from cliptune.protocols.common.pool import unlabelled
from cliptune.types import Task, TestSet


def base_to_novel(
    dataset: Dataset, *, shots: int = 16, seeds: Sequence[int] = (1, 2, 3), joint: bool = False, pool: bool = False
) -> Iterator[Task]:
    """One task per seed. Test sets: "base" and "novel", each among its own class names, and "base/<variant>".

    Shots are drawn from all classes before the split, so base shots equal those of `few_shot` with the same seed.
    Classes without training examples are left out. A multi-label image trains the class it was drawn for; it is in the
    test set of each half that has one of its classes, where classes of the other half are ignored.

    joint: Add a test set "joint" of all images among all class names, with the parts "base/joint" and "novel/joint".
    pool: Train on all training images of both halves without their labels, among all class names, base before novel.
    Raises `UserError` for data with less than four classes.
    """
    sizes = dataset.sizes()
    labels = list(sizes or count_classes(dataset.examples("test")))  # data for testing only
    parts: dict[str, tuple[int, ...]] = dict(zip(("base", "novel"), base_and_novel(labels), strict=True))
    if len(parts["novel"]) < 2:
        raise UserError(f"base_to_novel needs at least 4 classes, but {dataset.name} has {len(labels)}; use few_shot")
    both = tuple(dataset.classnames[label] for labels in parts.values() for label in labels)
    if not pool:
        warn_of_small_classes(
            {label: sizes[label] for label in sizes if label in parts["base"]}, shots, dataset.classnames
        )
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
        task = Task(
            "base_to_novel",
            dataset,
            select_labels(train, base),
            select_labels(val, base),
            tests,
            tests["base"].classnames,
            seed,
        )
        if pool:
            images = unlabelled(dataset.training_examples())
            task = replace(task, train=images, classnames=both, pool=True, transductive=True)
        yield task


def _joint(dataset: Dataset, parts: Mapping[str, tuple[int, ...]]) -> TestSet:
    """All test images among all class names, base before novel."""
    order = [label for labels in parts.values() for label in labels]
    joint = {f"{part}/joint": frozenset(map(order.index, labels)) for part, labels in parts.items()}
    names = tuple(dataset.classnames[label] for label in order)
    return TestSet(select_labels(dataset.examples("test"), order, shown=True), names, parts=joint)
