"""Tune on the first half of the classes, test on it and on the other half (CoCoOp's protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cliptune.data.dataset import Dataset
from cliptune.data.splits import draw, halves, only
from cliptune.types import Task, TestSet


def base_to_novel(dataset: Dataset, *, shots: int = 16, seeds: Sequence[int] = (1, 2, 3)) -> Iterator[Task]:
    """One task a seed. Test sets: "base" and "novel", each over its own names alone, and "base/<variant>",
    "novel/<variant>".

    Shots are drawn from all classes before the halves are cut, so base shots equal those of the all-class draw of the
    same
    seed; classes without training examples vanish.
    """
    for seed in seeds:
        train, val = draw(dataset.examples("train"), dataset.examples("val"), shots, seed)
        tests = {}
        parts = dict(zip(("base", "novel"), halves([e.label for e in train]), strict=True))
        for part, labels in parts.items():
            names = tuple(dataset.classnames[label] for label in labels)
            tests[part] = TestSet(only(dataset.examples("test"), labels), names)
            for variant, examples in dataset.variants().items():
                tests[f"{part}/{variant}"] = TestSet(only(examples, labels), names)
        base = parts["base"]
        yield Task("base_to_novel", dataset, only(train, base), only(val, base), tests, tests["base"].classnames, seed)
