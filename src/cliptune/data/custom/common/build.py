"""What all data of your own have in common: classes in order, names for text, missing parts cut from training."""

from __future__ import annotations

import random
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from cliptune.data.custom.common.names import prompt_classnames
from cliptune.errors import UserError
from cliptune.types import Example

#: The three parts, and what people call them.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}

#: Examples of a part with the class, or all the classes, that each shows; their labels are not set yet.
LabeledExamples = Sequence[tuple[str | tuple[str, ...], Example]]
Splits = dict[str, list[Example]]
Groups = Mapping[str, Mapping[str, list[Example]]]


def split_named(name: str) -> str | None:
    """The part that a name such as "Validation" stands for."""
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
    """Class names and the three parts of what was `found`.

    Where there is no test part, it and a missing validation part take a share of training (`cut`); beside a test part
    nothing is taken from training. Two more lists: "tested", for models made elsewhere: the test part, or everything
    where none was found; "aside", the share of training that validates where something asks for validation and the data
    marks none.

    where: what to call the data. classes: all there are, in label order; by default in alphabetical order. titles: what
    to call them in sentences, if not by themselves. hint: what to do where they are called by numbers. A class without
    training pictures is left out, with a note. Examples of several classes each (multi-label) have `labels`.

    Raises `UserError` for fewer than two classes, or for two that read the same.
    """
    shown = {part: {name for names, _ in rows for name in _names(names)} for part, rows in found.items()}
    known = list(classes) if classes is not None else sorted(set().union(*shown.values()))
    kept = [name for name in known if name in shown["train"]]
    if len(kept) < 2:
        only = f"one class only ({kept[0]})" if kept else "no training pictures"
        raise UserError(f"{where} has {only}; classification needs at least two classes")
    if len(kept) < len(known):
        warnings.warn(f"no training pictures of {listed(set(known) - set(kept))} in {where}: left out", stacklevel=3)
    groups = _by_class(found, {name: label for label, name in enumerate(kept)})
    splits = cut_splits(groups, kept) | {"aside": []}
    if "test" in found and "val" not in found:
        splits = cut_splits({**groups, "val": {}}, kept) | {"aside": splits["val"]}
    untested = set(kept) - shown.get("test", set()) if "test" in found else set()
    if untested and len(untested) < len(kept):
        warnings.warn(f"no test pictures of {listed(untested)} in {where}: accuracy says nothing of it", stacklevel=3)
    names = [titles[name] for name in kept] if titles is not None else kept
    everything = sorted((e for part in SPLIT_NAMES for e in splits[part]), key=lambda e: e.label)
    splits["tested"] = splits["test"] if "test" in found else everything
    return prompt_classnames(names, where, raw_names, hint), splits


def cut_splits(groups: Groups, classes: Sequence[str]) -> Splits:
    """The three parts, class after class, labelled by the place in `classes`.

    A part that is not in `groups` takes its share of each class's training examples, shuffled by a fixed seed: 30 % for
    test, 20 % for validation. Within a class the order is that of `groups`, which alone decides the cut.
    """
    rng = random.Random(0)
    splits: Splits = {part: [] for part in SPLIT_NAMES}
    for label, name in enumerate(classes):
        group = [replace(e, label=label) for e in groups["train"].get(name, ())]
        rest = list(range(len(group)))
        rng.shuffle(rest)
        for part, share in (("test", 0.3), ("val", 0.2)):
            if part in groups:
                splits[part] += [replace(e, label=label) for e in groups[part].get(name, ())]
                continue
            # A class of one picture keeps it for training and is tested on nothing, which a run says.
            count = max(0, min(max(1, round(share * len(group))), len(rest) - 1))
            taken, rest = rest[:count], rest[count:]
            splits[part] += [group[i] for i in sorted(taken)]
        splits["train"] += [group[i] for i in sorted(rest)]
    return splits


def listed(names: Collection[str], most: int = 5) -> str:
    """The first few names in alphabetical order, and how many more there are."""
    shown = sorted(names)[:most]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _names(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _by_class(found: Mapping[str, LabeledExamples], place: Mapping[str, int]) -> Groups:
    """The examples of each part by the first class that they show, without classes that have no place."""
    many = any(len(_names(names)) > 1 for rows in found.values() for names, _ in rows)
    groups: dict[str, dict[str, list[Example]]] = {part: {} for part in found}
    for part, rows in found.items():
        for names, example in rows:
            kept = [name for name in _names(names) if name in place]
            if kept:
                labels = tuple(sorted(place[name] for name in kept)) if many else ()
                groups[part].setdefault(kept[0], []).append(replace(example, labels=labels))
    return groups
