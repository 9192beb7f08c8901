"""The images that methods are compared on: a validation split, or folds of the training images."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from cliptune import checks
from cliptune.data.duplicates import identical_files
from cliptune.data.image_files import ImageFiles
from cliptune.data.splits import group_by_label
from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.types import Example, Task, TestSet

ScoredOn = Literal["auto", "validation", "folds"]


@dataclass(frozen=True)
class Fold:
    """Images that a candidate is trained on, and others that it is scored on."""

    train: tuple[Example, ...]
    scored: tuple[Example, ...]


@dataclass(frozen=True)
class Split:
    """How candidates are compared.

    Args:
        folds: Disjoint in what they score.
        words: The split in words.
        compares: Whether methods that train can be compared. False if there is nothing to leave out: then the one fold
            scores all images for a method without training.
    """

    folds: tuple[Fold, ...]
    words: str
    compares: bool = True

    @property
    def scored(self) -> tuple[Example, ...]:
        """All images that candidates are scored on."""
        return tuple(example for fold in self.folds for example in fold.scored)

    @property
    def images(self) -> tuple[Example, ...]:
        """All images of the comparison, each once."""
        every = (example for fold in self.folds for example in (*fold.train, *fold.scored))
        return tuple({example.key: example for example in every}.values())


def split_task(task: Task, scored_on: ScoredOn = "auto", folds: int = 5) -> Split:
    """Choose the images to compare methods on. Test images are never among them.

    Args:
        task: The task of the final training: its training images, all or some of each class, and all validation images.
        scored_on: "validation" takes the validation images, "folds" cross-validation; "auto" takes the validation
            images if the data has a validation split of its own, otherwise cross-validation. If all training images are
            used, a validation share that was cut from data without splits joins them in the folds.
        folds: Number of folds. Each class is spread evenly over them, byte-for-byte duplicates together.

    Raises:
        UserError: If an argument is out of range, validation images are asked for and there are none, or images have
            several classes.
    """
    checks.require(scored_on in get_args(ScoredOn), "scored_on", scored_on, listed(get_args(ScoredOn)))
    checks.require(type(folds) is int and folds >= 2, "folds", folds, "an integer of at least 2")
    cut = task.dataset.cut_validation()
    drawn = len(task.train) < len(task.dataset.training_examples())
    validation = task.val
    if scored_on == "validation" and not validation:
        raise UserError("scored_on=validation needs validation images, but the data has none; use scored_on=folds")
    if any(len(example.labels) > 1 for example in (*task.train, *validation)):
        raise UserError(
            "images with several classes cannot be compared by accuracy; choose a method with cliptune run few-shot"
        )
    if scored_on == "validation" or (scored_on == "auto" and validation and not cut):
        count = len(validation)
        return Split(
            (Fold(task.train, validation),),
            f"training on {len(task.train)} images and scoring on {count} validation images",
        )
    pool = task.train if drawn or not cut else (*task.train, *validation)
    return fold_split(pool, folds, task.seed, task.dataset.image_files)


def fold_split(pool: Sequence[Example], folds: int, seed: int, files: ImageFiles | None = None) -> Split:
    """Stratified cross-validation. A class with a single image, or copies of one, stays in all training sets.

    The number of folds is at most that of the different images of the largest class.
    """
    rng = random.Random(seed)
    same = {} if files is None else {e.key: group[0].key for group in identical_files(pool, files) for e in group}
    place: dict[str, int] = {}
    counts = [len({same.get(e.key, e.key) for e in group}) for group in group_by_label(pool).values()]
    number = min(folds, max(counts, default=0))
    if number < 2:
        words = (
            f"there are {len(pool)} images, one per class, so none can be left out of training to compare methods on"
        )
        return Split((Fold((), tuple(pool)),), words, compares=False)
    start = 0
    for group, count in zip(group_by_label(pool).values(), counts, strict=True):
        if count < 2:
            continue
        bundles = list(dict.fromkeys(same.get(e.key, e.key) for e in group))
        rng.shuffle(bundles)
        at = {bundle: (start + i) % number for i, bundle in enumerate(bundles)}
        place |= {e.key: at[same.get(e.key, e.key)] for e in group}
        start += count  # classes begin at different folds, so that folds are of equal size
    parts = [
        Fold(
            tuple(e for e in pool if place.get(e.key) != i),
            tuple(e for e in pool if place.get(e.key) == i),
        )
        for i in range(number)
    ]
    kept = len(pool) - len(place)
    words = f"{number}-fold cross-validation over {len(pool)} images" + (
        f", of which {kept} {'is' if kept == 1 else 'are'} never left out, as the only one of a class" if kept else ""
    )
    return Split(tuple(part for part in parts if part.scored), words)


def fold_task(task: Task, fold: Fold) -> Task:
    """The task of training on a fold; its only test set has the images that it scores."""
    tests: Mapping[str, TestSet] = {"scored": TestSet(fold.scored, task.classnames)}
    return replace(task, train=fold.train, val=(), tests=tests)
