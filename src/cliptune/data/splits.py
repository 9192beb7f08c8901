"""Few-shot draws, base and novel halves, and train/validation cuts, bit for bit as the field makes them."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cliptune.errors import UserError
from cliptune.types import Example


def by_label(examples: Sequence[Example]) -> dict[int, list[Example]]:
    """Examples grouped by label, in order of first appearance: the order in which published draws walk the classes."""
    groups: dict[int, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.label, []).append(example)
    return groups


def few_shot(examples: Sequence[Example], shots: int, rng: random.Random) -> list[Example]:
    """`shots` examples a class, or all of a class that has fewer (without consuming randomness); all if `shots` < 1."""
    if shots < 1:
        return list(examples)
    groups = by_label(examples).values()
    return [e for group in groups for e in (rng.sample(group, shots) if len(group) >= shots else group)]


def draw(
    train: Sequence[Example], val: Sequence[Example], shots: int, seed: int
) -> tuple[list[Example], list[Example]]:
    """Training and validation shots of a seed: validation takes min(shots, 4) a class from the same random stream."""
    rng = random.Random(seed)
    chosen = few_shot(train, shots, rng)
    return chosen, few_shot(val, min(shots, 4), rng)


def note_short(examples: Sequence[Example], shots: int, classnames: Sequence[str]) -> None:
    """Warn once if classes have fewer than `shots` examples: all of theirs are used."""
    counts = {label: len(group) for label, group in by_label(examples).items() if len(group) < shots}
    if counts:
        (label, count), *others = counts.items()
        said = f"class {classnames[label]!r} has {count} images, fewer than shots={shots}: all {count} are used"
        more = f" (as for {len(others)} more class{'es' * (len(others) > 1)})" if others else ""
        warnings.warn(said + more, stacklevel=3)


def few_shot_paths(split_json: str | Path, *, shots: int, seed: int) -> tuple[list[str], list[str]]:
    """Relative paths drawn from a `split_zhou_*.json` file, in order: training, validation."""
    path = Path(split_json)
    _, parts = read(path, path.parent)
    train, val = draw(parts["train"], parts["val"], shots, seed)
    return [e.key for e in train], [e.key for e in val]


def read(path: Path, images: Path) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
    """Class names by label, and the examples of each part in the file's order, of a `split_zhou_*.json` file.

    images: the folder against which its paths count. Raises `UserError` for another kind of file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = {
            name: [Example(item[0], int(item[1]), images / item[0]) for item in content[name]]
            for name in ("train", "val", "test")
        }
        names = {int(item[1]): str(item[2]) for name in parts for item in content[name]}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"{path} is not a split file with train, val and test lists of [path, label, name]: "
            f"{type(error).__name__}: {error}"
        ) from None
    if sorted(names) != list(range(len(names))):
        raise UserError(f"the labels of {path} are not 0 to {len(names) - 1}; get the published file")
    return tuple(names[label] for label in range(len(names))), parts


def split_trainval(
    examples: Sequence[Example], rng: random.Random, share: float = 0.2
) -> tuple[list[Example], list[Example]]:
    """Training and validation lists where no split file exists: `round(share * n)` shuffled items a class validate."""
    train, val = [], []
    for group in by_label(examples).values():
        count = round(len(group) * share)
        if count < 1:
            raise UserError(
                f"class {group[0].label} has {len(group)} images, too few to set {share:.0%} aside for validation"
            )
        order = list(group)
        rng.shuffle(order)
        val += order[:count]
        train += order[count:]
    return train, val


def halves(labels: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Base and novel labels: the first ceil(n / 2) of the sorted labels, and the rest."""
    order = sorted(set(labels))
    middle = -(-len(order) // 2)
    return tuple(order[:middle]), tuple(order[middle:])


def only(examples: Sequence[Example], labels: Sequence[int]) -> tuple[Example, ...]:
    """The examples of `labels`, relabelled 0, 1, ... in the order of `labels`, otherwise in their own order."""
    position = {label: i for i, label in enumerate(labels)}
    return tuple(replace(e, label=position[e.label]) for e in examples if e.label in position)
