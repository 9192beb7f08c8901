"""Awkward trees of class folders: nothing is ignored or interpreted without a warning."""

import os
import shutil
import unicodedata
import warnings
from pathlib import Path

import pytest

from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError
from folder_datasets import class_sizes, write_class_folders

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"


def opened(root):
    """The folder and the notes."""
    with warnings.catch_warnings(record=True, action="always") as error:
        folder = Folder(root)
    return folder, [str(note.message) for note in error]


def total(folder):
    return sum(map(sum, class_sizes(folder).values()))


@pytest.mark.parametrize("name", ["train", "test", "dev"])
def test_a_class_named_like_a_split(tmp_path, name):
    folder, notes = opened(write_class_folders(tmp_path, car=4, **{name: 4}))
    assert set(folder.classnames) == {"car", name} and total(folder) == 8
    assert notes == [f"{name} is treated as a class of {tmp_path}, because it contains images, not class folders"]
    write_class_folders(tmp_path / name, more=2)
    assert total(opened(tmp_path)[0]) == 10


def test_a_test_split_without_labels(tmp_path):
    write_class_folders(tmp_path / "train", cat=4, dog=4)
    write_class_folders(tmp_path, test=3)
    folder, notes = opened(tmp_path)
    assert class_sizes(folder) == {"train": [2, 2], "val": [1, 1], "test": [1, 1]}
    assert notes == [f"{tmp_path}/test contains no class folders, so its images have no labels; ignored"]


def test_splits_without_classes(tmp_path):
    with pytest.raises(UserError, match="contains no images in class folders; expected .*/train/<class>/<image>.jpg"):
        Folder(write_class_folders(tmp_path, train=3, test=3))


def test_ignored_folders_are_reported(tmp_path):
    for part in ("train", "test"):
        write_class_folders(tmp_path / part, cat=2, dog=2)
    write_class_folders(tmp_path / "unlabelled", a=2)
    (tmp_path / "notes").mkdir()
    shutil.copy(tmp_path / "train" / "cat" / "0.png", tmp_path / "cover.png")
    shutil.copy(tmp_path / "train" / "cat" / "0.png", tmp_path / "train" / "x.png")
    _, notes = opened(tmp_path)
    assert sorted(notes) == [
        f"1 image is in {tmp_path} itself, outside the class folders (cover.png); ignored",
        f"1 image is in {tmp_path}/train itself, outside the class folders (x.png); ignored",
        f"next to test and train, {tmp_path} has unlabelled; ignored",
    ]


@pytest.mark.parametrize(
    "other, message",
    [(unicodedata.normalize("NFD", "Käse"), True), ("käse", True), ("Käse ", True), ("Käse", False)],
)
def test_test_classes_belong_to_the_training_classes_of_their_name(tmp_path, other, message):
    write_class_folders(tmp_path / "train", **{"Käse": 3, "dog": 3})
    write_class_folders(tmp_path / "test", **{other: 2, "dog": 1})
    folder, notes = opened(tmp_path)
    assert folder.classnames == ("Käse", "dog") and class_sizes(folder)["test"] == [2, 1]
    assert notes == ([f"{tmp_path}/test/{other} is treated as class 'Käse' of {tmp_path}/train"] if message else [])


@pytest.mark.parametrize("other", [unicodedata.normalize("NFD", "Käse"), "käse", "Käse "])
def test_two_classes_of_one_name(tmp_path, other):
    with pytest.raises(UserError, match="two classes of .* read as 'käse'; rename one"):
        Folder(write_class_folders(tmp_path, **{"Käse": 3, other: 3}))


def test_links_inside_classes_are_followed_once(tmp_path):
    write_class_folders(tmp_path / "photos", cat=3, dog=3)
    write_class_folders(tmp_path / "else", more=2)
    os.symlink(tmp_path / "else" / "more", tmp_path / "photos" / "cat" / "more")
    os.symlink(tmp_path / "photos", tmp_path / "photos" / "cat" / "round")
    os.symlink(tmp_path / "else" / "more", tmp_path / "photos" / "cat" / "again")
    assert [sum(counts) for counts in zip(*class_sizes(Folder(tmp_path / "photos")).values(), strict=True)] == [5, 3]


def test_wordnet_ids_are_replaced_by_words(tmp_path):
    write_class_folders(tmp_path, n01440764=2, n03417042=2, n04355933=2, n04356056=2)
    folder, notes = opened(tmp_path)
    assert folder.classnames == ("tench", "garbage truck", "sunglass", "sunglasses")
    assert notes == [
        f"class 'n01440764' of {tmp_path} is read as ImageNet's 'tench' (and 3 more); --raw-names keeps names as they "
        "are"
    ]
    with pytest.warns(UserWarning, match="are not words that a text encoder understands"):
        assert Folder(tmp_path, raw_names=True).classnames[0] == "n01440764"


@pytest.mark.skipif(not REAL.is_dir(), reason="shared/data/real, real photographs in folders, is not here")
def test_a_real_folder_of_wordnet_ids():
    folder, notes = opened(REAL / "imagenette-224")
    assert folder.classnames[:3] == ("tench", "English Springer Spaniel", "cassette player") and len(notes) == 1
    assert class_sizes(folder) == {"train": [3] * 10, "val": [2] * 10, "test": [2] * 10}
