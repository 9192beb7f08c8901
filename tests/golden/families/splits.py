"""Few-shot draws, base and novel halves, and the split into training and validation."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from cliptune.data.splits import base_and_novel, draw_few_shot, select_labels, split_trainval
from cliptune.types import Example
from golden.case import Case
from golden.compare import Report

METHODS = ("few-shot sampling and base/new split",)


def check(case: Case, report: Report) -> None:
    content = case.json
    lists = {name: _examples(content[f"{name}_labels"]) for name in ("train", "val", "test")}
    for result in content["results"]:
        name = f"results[{result['shots']} shots, seed {result['seed']}]"
        train, val = draw_few_shot(lists["train"], lists["val"], result["shots"], result["seed"])
        chosen = {"train": train, "val": val}
        for part, examples in chosen.items():
            report.value(f"{name}.{part}", _indices(examples), result[part])
        labels = base_and_novel([example.label for example in chosen["train"]])
        for half, own in zip(("base", "new"), labels, strict=True):
            for part, want in result.get(half, {}).items():
                report.value(f"{name}.{half}.{part}", _both(select_labels({**lists, **chosen}[part], own)), want)
        report.all_known(name, result, "shots", "seed", "train", "val", "base", "new")
    cuts = [key for key in content if key.startswith("split_trainval_seed")]
    for key in cuts:
        want = content[key]
        rng = random.Random(int(key.removeprefix("split_trainval_seed")))
        train, val = split_trainval(lists[want["source"].removesuffix("_labels")], rng, want["p_val"])
        report.value(f"{key}.train", _indices(train), want["train"])
        report.value(f"{key}.val", _indices(val), want["val"])
        report.all_known(key, want, "train", "val", "source", "p_val")
    facts = ("case", "method", "notes", "train_labels", "val_labels", "test_labels", "results")
    report.all_known("case.json", content, *facts, *cuts)


def _examples(labels: Sequence[int]) -> list[Example]:
    return [Example(str(i), label) for i, label in enumerate(labels)]


def _indices(examples: Sequence[Example]) -> list[int]:
    return [int(example.key) for example in examples]


def _both(examples: Sequence[Example]) -> dict[str, Any]:
    return {"index": _indices(examples), "label": [example.label for example in examples]}
