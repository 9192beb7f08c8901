"""Build the splits of custom datasets: class order, class names, and missing splits taken from training."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from cliptune.data.custom.common.names import prompt_classnames
from cliptune.data.dataset import Dataset
from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.types import Example
from cliptune.user_warnings import warn_user

#: The three splits, and common names for them.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}

#: Examples of a split with the class, or all classes, of each; their labels are not set yet.
LabeledExamples = Sequence[tuple[str | tuple[str, ...], Example]]
Splits = dict[str, list[Example]]
Groups = Mapping[str, Mapping[str, list[Example]]]


class CustomDataset(Dataset):
    """A dataset with splits from `build_splits`, which subclasses assign to `_splits`."""

    _splits: Splits

    def examples(self, split: str) -> list[Example]:
        return self._splits[split]

    def aside(self) -> list[Example]:
        return self._splits["aside"]

    def cut_validation(self) -> list[Example]:
        return self._splits["cut"]

    def evaluation_examples(self) -> list[Example]:
        return self._splits["tested"]


def split_named(name: str) -> str | None:
    """The split that a name such as "Validation" means, or None."""
    return next((part for part, names in SPLIT_NAMES.items() if name.strip().lower() in names), None)


def build_splits(
    found: Mapping[str, LabeledExamples],
    where: str,
    *,
    classes: Sequence[str] | None = None,
    titles: Mapping[str, str] | None = None,
    raw_names: bool = False,
    hint: str = "words would help",
) -> tuple[tuple[str, ...], Splits]:
    """Build class names and splits from the examples `found`.

    Without a test split, it and a missing validation split take a share of the training split (see `cut_splits`); with
    one, nothing is taken from training. Classes without training images are left out with a warning. Data with test
    images alone is a test set for models trained on other data. Multi-label examples get `labels`.

    Args:
        found: Examples by split.
        where: Name of the data in messages.
        classes: All classes in label order; by default in alphabetical order.
        titles: Class names in prompts, if they differ from `classes`.
        raw_names: Keep class names as they are.
        hint: What to do if class names are numbers.

    Returns:
        Class names, and examples by split, with three more lists: "tested", for evaluating other models (the test
        split, or everything if there was none), "aside", the share of the training split that validates if validation
        images are needed and the data has none, and "cut", the validation split if it was taken from the training
        split.

    Raises:
        UserError: If there are fewer than two classes, or two have the same name in prompts.
    """
    shown = {part: {name for names, _ in rows for name in _names(names)} for part, rows in found.items()}
    known = list(classes) if classes is not None else sorted(set().union(*shown.values()))
    only_test = not found["train"] and bool(found.get("test"))
    trained = _trainable_classes(known, shown["test" if only_test else "train"], where)
    groups = _by_class(found, {name: label for label, name in enumerate(trained)})
    splits = cut_splits(groups, trained) | {"aside": []}
    if "test" in found and "val" not in found:
        splits = cut_splits({**groups, "val": {}}, trained) | {"aside": splits["val"]}
    untested = set(trained) - shown.get("test", set()) if "test" in found else set()
    if untested and len(untested) < len(trained):
        warn_user(f"no test images of {listed(sorted(untested))} in {where}: accuracy does not include them")
    names = [titles[name] for name in trained] if titles is not None else trained
    everything = sorted((e for part in SPLIT_NAMES for e in splits[part]), key=lambda e: e.label)
    splits["tested"] = splits["test"] if "test" in found else everything
    splits["cut"] = [] if "val" in found else splits["val"]
    return prompt_classnames(names, where, raw_names, hint), splits


def _trainable_classes(known: Sequence[str], trained: Collection[str], where: str) -> list[str]:
    """The classes with training images. Warns of the others; raises `UserError` if fewer than two remain."""
    remaining = [name for name in known if name in trained]
    if len(remaining) < 2:
        only = f"one class only ({remaining[0]})" if remaining else "no training images"
        raise UserError(f"{where} has {only}; classification needs at least two classes")
    if len(remaining) < len(known):
        missing = listed(sorted(set(known) - set(remaining)))
        warn_user(f"no training images of {missing} in {where}; ignored")
    return remaining


def cut_splits(groups: Groups, classes: Sequence[str]) -> Splits:
    """The three splits, class by class, labeled by index in `classes`.

    A split that is not in `groups` takes its share of each class's training examples, shuffled with a fixed seed: 30 %
    for test, 20 % for validation. Within a class the order is that of `groups`, which alone determines the result.
    """
    rng = random.Random(0)
    splits: Splits = {part: [] for part in SPLIT_NAMES}
    for label, name in enumerate(classes):
        group = [_labeled(e, label) for e in groups["train"].get(name, ())]
        rest = list(range(len(group)))
        rng.shuffle(rest)
        for part, share in (("test", 0.3), ("val", 0.2)):
            if part in groups:
                splits[part] += [_labeled(e, label) for e in groups[part].get(name, ())]
                continue
            # A class with one image keeps it for training and has no test image, which a run reports.
            count = max(0, min(max(1, round(share * len(group))), len(rest) - 1))
            taken, rest = rest[:count], rest[count:]
            splits[part] += [group[i] for i in sorted(taken)]
        splits["train"] += [group[i] for i in sorted(rest)]
    return splits


def _names(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _by_class(found: Mapping[str, LabeledExamples], place: Mapping[str, int]) -> Groups:
    """The examples of each split by their first class, without classes that have no label."""
    many = any(len(_names(names)) > 1 for rows in found.values() for names, _ in rows)
    groups: dict[str, dict[str, list[Example]]] = {part: {} for part in found}
    for part, rows in found.items():
        for names, example in rows:
            known = [name for name in _names(names) if name in place]
            if known:
                labels = tuple(sorted(place[name] for name in known)) if many else ()
                own = replace(example, label=place[known[0]], labels=labels)
                groups[part].setdefault(known[0], []).append(own)
    return groups


def _labeled(example: Example, label: int) -> Example:
    return example if example.label == label else replace(example, label=label)
