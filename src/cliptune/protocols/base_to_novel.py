"""Tune on the first half of the classes, test on it and on the other half (CoCoOp's protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cliptune.data.dataset import Dataset
from cliptune.data.splits import halves, note_short, only
from cliptune.errors import UserError
from cliptune.types import Task, TestSet


def base_to_novel(dataset: Dataset, *, shots: int = 16, seeds: Sequence[int] = (1, 2, 3)) -> Iterator[Task]:
    """One task a seed. Test sets: "base" and "novel", each over its own names alone, and "base/<variant>".

    Shots are drawn from all classes before the halves are cut, so base shots equal those of the all-class draw of the
    same seed; classes without training examples vanish.
    """
    pool = dataset.examples("train")
    parts = dict(zip(("base", "novel"), halves([e.label for e in pool]), strict=True))
    if len(parts["novel"]) < 2:
        count = sum(map(len, parts.values()))
        raise UserError(f"base_to_novel needs at least 4 classes, but {dataset.name} has {count}; use few_shot")
    note_short([e for e in pool if e.label in parts["base"]], shots, dataset.classnames)
    for seed in seeds:
        train, val = dataset.draw(shots, seed)
        tests = {}
        for part, labels in parts.items():
            names = tuple(dataset.classnames[label] for label in labels)
            tests[part] = TestSet(only(dataset.examples("test"), labels), names)
        base = parts["base"]
        for variant, examples in dataset.variants().items():
            tests[f"base/{variant}"] = TestSet(only(examples, base), tests["base"].classnames)
        yield Task("base_to_novel", dataset, only(train, base), only(val, base), tests, tests["base"].classnames, seed)
