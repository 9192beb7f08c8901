"""Few-shot draws, base and novel classes, and train/validation splits, identical to those of published code."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from cliptune import checks
from cliptune.data.split_file import read_split_file
from cliptune.data.targets import labels_in
from cliptune.errors import UserError
from cliptune.types import Example
from cliptune.user_warnings import warn_user

T = TypeVar("T")


def group_by_label(examples: Sequence[Example]) -> dict[int, list[Example]]:
    """Group examples by label, in order of first appearance, which is the order in which published code draws."""
    groups: dict[int, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.label, []).append(example)
    return groups


def assign_single_labels(examples: Sequence[Example], rng: random.Random) -> list[Example]:
    """Assign each multi-label example to one of its classes at random; other examples stay unchanged."""
    return [replace(e, label=rng.choices(e.labels)[0]) if e.labels else e for e in examples]


def sample_few_shot(examples: Sequence[Example], shots: int, rng: random.Random) -> list[Example]:
    """Draw `shots` examples per class; all if `shots` < 1. Smaller classes are used whole and consume no randomness."""
    if shots < 1:
        return list(examples)
    return [e for group in sample_groups(group_by_label(examples).values(), shots, rng) for e in group]


def sample_groups(groups: Iterable[Sequence[T]], shots: int, rng: random.Random) -> list[list[T]]:
    """`sample_few_shot` of items that are already grouped by class."""
    return [rng.sample(group, shots) if 1 <= shots <= len(group) else list(group) for group in groups]


def sample_disjoint(
    groups: Sequence[Sequence[T]], shots: int, rng: random.Random, taken: Collection[T] = ()
) -> tuple[list[list[T]], list[list[T]]]:
    """Training and validation examples per group, both drawn from the training list.

    Training draws `shots` per group by the published rule; validation then draws min(shots, 4) of the others from the
    same random stream.

    taken: Training examples chosen by other means; they replace the random draw.
    """
    chosen = sample_groups(groups, shots, rng)
    used = set(taken) or {item for group in chosen for item in group}
    left = [[item for item in group if item not in used] for group in groups]
    return chosen, sample_groups(left, min(shots, 4), rng)


def exclude(examples: Sequence[Example], aside: Sequence[Example]) -> list[Example]:
    """The examples that are not in `aside`, by key."""
    keys = {e.key for e in aside}
    return [e for e in examples if e.key not in keys]


def draw_few_shot(
    train: Sequence[Example], val: Sequence[Example], shots: int, seed: int
) -> tuple[list[Example], list[Example]]:
    """Training and validation examples of a seed: validation draws min(shots, 4) per class from the same random stream.

    Multi-label examples are first assigned to one of their classes each (`assign_single_labels`).
    """
    rng = random.Random(seed)
    train, val = assign_single_labels(train, rng), assign_single_labels(val, rng)
    chosen = sample_few_shot(train, shots, rng)
    return chosen, sample_few_shot(val, min(shots, 4), rng)


def count_classes(examples: Sequence[Example]) -> dict[int, int]:
    """Number of examples per class, in order of first appearance."""
    return dict(Counter(label for e in examples for label in labels_in(e)))


def warn_of_small_classes(sizes: Mapping[int, int], shots: int, classnames: Sequence[str]) -> None:
    """Warn once about the classes that have fewer than `shots` examples, all of which are used."""
    few = {label: size for label, size in sizes.items() if size < shots}
    if few:
        (label, size), *others = few.items()
        message = f"class {classnames[label]!r} has {size} images, fewer than shots={shots}: all {size} are used"
        more = f" (as for {len(others)} more class{'es' * (len(others) > 1)})" if others else ""
        warn_user(message + more)


def few_shot_paths(split_json: str | Path, *, shots: int, seed: int) -> tuple[list[str], list[str]]:
    """Relative paths drawn from a `split_zhou_*.json` file: training, validation."""
    path = Path(split_json)
    _, parts = read_split_file(path, path.parent)
    train, val = draw_few_shot(parts["train"], parts["val"], shots, seed)
    return [e.key for e in train], [e.key for e in val]


def sample_fraction(examples: Sequence[Example], share: float, rng: random.Random) -> list[Example]:
    """Draw `round(share * n)` examples per class, at least one, without replacement. A share of 1 keeps all, in order.

    Raises `UserError` unless 0 < share <= 1.
    """
    checks.require(0 < share <= 1, "the share of the images", share, "above 0 and at most 1")
    if share == 1:
        return list(examples)
    groups = group_by_label(examples).values()
    return [e for group in groups for e in rng.sample(group, max(1, round(share * len(group))))]


def split_trainval(
    examples: Sequence[Example], rng: random.Random, share: float = 0.2
) -> tuple[list[Example], list[Example]]:
    """Split examples without a split file: `round(share * n)` shuffled examples per class become validation."""
    train, val = [], []
    for group in group_by_label(examples).values():
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


def base_and_novel(labels: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Base and novel labels: the first ceil(n / 2) of the sorted labels, and the others."""
    order = sorted(set(labels))
    middle = -(-len(order) // 2)
    return tuple(order[:middle]), tuple(order[middle:])


def select_labels(examples: Sequence[Example], labels: Sequence[int], *, shown: bool = False) -> tuple[Example, ...]:
    """Select the examples of `labels` and relabel them 0, 1, ... in the order of `labels`; their order stays.

    shown: Include multi-label examples that show one of `labels` besides their own label, under the first one shown.
    """
    position = {label: i for i, label in enumerate(labels)}
    found = []
    for example in examples:
        seen = tuple(position[label] for label in example.labels if label in position)
        if example.label in position:
            found.append(replace(example, label=position[example.label], labels=seen))
        elif shown and seen:
            found.append(replace(example, label=seen[0], labels=seen))
    return tuple(found)
