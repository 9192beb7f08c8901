"""Folds and validation images; test images are in none of them."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest

from cliptune import calibration, config, methods, tasks
from cliptune.errors import UserError
from cliptune.selection.split import fold_split, fold_task, split_task
from cliptune.types import Example
from tiny_tasks import write_images


def task_of(data, shots=0):
    task = tasks.build_task(config.RunConfig(methods.build("zeroshot"), f"folder:{data}", shots=shots))
    return replace(task, val=calibration.validation_images(task))


def keys(examples):
    return {example.key for example in examples}


def pool(*sizes):
    return [Example(f"{label}/{i}", label) for label, size in enumerate(sizes) for i in range(size)]


def test_folds_never_contain_test_images(photos):
    task = task_of(photos)
    split = split_task(task)
    tested = keys(task.tests["test"].examples)
    assert len(tested) == 6 and "cross-validation over 18 images" in split.words
    assert keys(split.images) == keys(split.scored) == keys((*task.train, *task.val))
    for fold in split.folds:
        part = fold_task(task, fold)
        seen = keys((*part.train, *part.val, *part.tests["scored"].examples))
        assert not seen & tested and set(part.tests) == {"scored"}
        assert not keys(fold.train) & keys(fold.scored)
        assert keys(fold.train) | keys(fold.scored) == keys(split.images)


def test_folds_are_stratified_and_reproducible():
    split = fold_split(pool(10, 7, 13), 5, seed=1)
    for fold in split.folds:
        counts = Counter(e.label for e in fold.scored)
        assert counts[0] == 2 and counts[1] in (1, 2) and counts[2] in (2, 3)
        assert len(fold.scored) == 6
    assert split == fold_split(pool(10, 7, 13), 5, seed=1) != fold_split(pool(10, 7, 13), 5, seed=2)


def test_few_images_give_fewer_folds_and_single_ones_stay_in_training():
    split = fold_split(pool(3, 2, 1), 5, seed=1)
    assert len(split.folds) == 3 and len(split.scored) == 5 and "1 is never left out" in split.words
    assert all("2/0" in keys(fold.train) for fold in split.folds)
    assert all({e.label for e in fold.train} == {0, 1, 2} for fold in split.folds)


def test_single_images_allow_no_comparison():
    split = fold_split(pool(1, 1, 1), 5, seed=1)
    assert not split.compares and len(split.folds) == 1 and not split.folds[0].train
    assert keys(split.scored) == {"0/0", "1/0", "2/0"} and "none can be left out" in split.words


def test_drawn_images_alone_are_in_the_folds(photos):
    task = task_of(photos, shots=2)
    assert keys(split_task(task).images) == keys(task.train)


def test_an_own_validation_split_is_used(tmp_path):
    for part, each in (("train", 4), ("val", 3), ("test", 2)):
        write_images(tmp_path / part, each=each)
    task = task_of(tmp_path)
    (fold,) = split_task(task).folds
    assert keys(fold.train) == keys(task.train)
    assert len(fold.scored) == 9 and all(key.startswith("val/") for key in keys(fold.scored))
    folds = split_task(task, "folds").folds
    assert len(folds) == 4 and keys(e for f in folds for e in f.scored) == keys(task.train)


def test_validation_can_be_asked_for(photos, tmp_path):
    (fold,) = split_task(task_of(photos), "validation").folds
    assert len(fold.train) == 12 and len(fold.scored) == 6
    for part in ("train", "test"):
        write_images(tmp_path / part, each=4)
    with pytest.raises(UserError, match="scored_on=folds"):
        split_task(task_of(tmp_path), "validation")


def test_copies_of_a_file_stay_together(tmp_path):
    root = write_images(tmp_path / "photos", each=8)
    task = task_of(root)
    first, second = [e for e in task.train if e.label == 0][:2]
    shutil.copy(root / first.key, root / second.key)
    for fold in split_task(task_of(root)).folds:
        assert len({first.key, second.key} & keys(fold.scored)) in (0, 2)


def test_several_classes_per_image_are_refused(photos):
    task = task_of(photos)
    first = replace(task.train[0], labels=(0, 1))
    with pytest.raises(UserError, match="several classes"):
        split_task(replace(task, train=(first, *task.train[1:])))
