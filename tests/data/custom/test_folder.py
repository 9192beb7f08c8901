"""A user's folder: its splits, its class names, and how it is split."""

import hashlib
import shutil
import warnings

import pytest

from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError
from folder_datasets import class_sizes, write_class_folders


def test_a_folder_without_splits_is_divided_half_fifth_rest(tmp_path):
    folder = Folder(write_class_folders(tmp_path, dog=10, cat=20))
    assert folder.classnames == ("cat", "dog")
    assert class_sizes(folder) == {"train": [10, 5], "val": [4, 2], "test": [6, 3]}
    keys = [e.key for part in ("train", "val", "test") for e in folder.examples(part)]
    assert len(keys) == len(set(keys)) == 30
    assert all((tmp_path / key).is_file() for key in keys)


def test_the_split_does_not_depend_on_place_or_time(tmp_path):
    one = Folder(write_class_folders(tmp_path / "a", dog=10, cat=20))
    for name in ("dog", "cat"):  # written in another order
        write_class_folders(tmp_path / "b", **{name: {"dog": 10, "cat": 20}[name]})
    other = Folder(tmp_path / "b")
    for part in ("train", "val", "test"):
        assert [(e.key, e.label) for e in one.examples(part)] == [(e.key, e.label) for e in other.examples(part)]
    assert {e.key for e in one.examples("test")} != {f"cat/{i}.png" for i in range(6)} | {
        f"dog/{i}.png" for i in range(3)
    }


@pytest.mark.parametrize("count, train, test", [(1, 1, 0), (2, 1, 1), (3, 1, 1), (4, 2, 1)])
def test_a_small_class_keeps_training_images(tmp_path, count, train, test):
    found = class_sizes(Folder(write_class_folders(tmp_path, few=count, many=10)))
    assert found["train"][0] == train and found["test"][0] == test
    assert sum(found[part][0] for part in found) == count


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("training", "valid", "testing"), ("train", "validation", "test")]
)
def test_given_splits_are_used_unchanged(tmp_path, names):
    for name, count in zip(names, (4, 2, 3), strict=True):
        write_class_folders(tmp_path / name, cat=count, dog=count)
    folder = Folder(tmp_path)
    assert class_sizes(folder) == {"train": [4, 4], "val": [2, 2], "test": [3, 3]}
    assert folder.examples("test")[0].key == f"{names[2]}/cat/0.png"


def test_a_missing_split_is_taken_from_training(tmp_path):
    write_class_folders(tmp_path / "train", cat=10, dog=10)
    write_class_folders(tmp_path / "test", cat=3, dog=2)
    assert class_sizes(Folder(tmp_path)) == {"train": [10, 10], "val": [0, 0], "test": [3, 2]}
    shutil.rmtree(tmp_path / "test")
    assert class_sizes(Folder(tmp_path)) == {"train": [5, 5], "val": [2, 2], "test": [3, 3]}


def test_labels_are_those_of_the_training_split(tmp_path):
    write_class_folders(tmp_path / "train", dog=2, cat=2)
    write_class_folders(tmp_path / "test", ant=1, dog=1)  # ant has no training images, cat no test images
    with warnings.catch_warnings(record=True, action="always") as error:
        folder = Folder(tmp_path)
    assert [str(note.message) for note in error] == [
        f"no training images of ant in {tmp_path}; ignored",
        f"no test images of cat in {tmp_path}: accuracy does not include them",
    ]
    assert folder.classnames == ("cat", "dog")
    assert [(e.key, e.label) for e in folder.examples("test")] == [("test/dog/0.png", 1)]


def test_a_test_split_only(tmp_path):
    write_class_folders(tmp_path / "test", cat=2, dog=2)
    with pytest.raises(UserError, match="has test but no train folder; add one, or put the classes side by side"):
        Folder(tmp_path)


def test_hidden_and_other_files_are_ignored(tmp_path):
    write_class_folders(tmp_path, cat=2, dog=2)
    write_class_folders(tmp_path, **{".cache": 3})
    write_class_folders(tmp_path / "cat", **{".thumbnails": 3})
    shutil.copy(tmp_path / "cat" / "0.png", tmp_path / "cat" / "._0.png")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "cat" / "folder.png").mkdir()
    folder = Folder(tmp_path)
    assert folder.classnames == ("cat", "dog")
    assert sum(map(sum, class_sizes(folder).values())) == 4


def test_nested_images_belong_to_their_class(tmp_path):
    write_class_folders(tmp_path, cat=1, dog=2)
    write_class_folders(tmp_path / "cat", indoors=2)
    folder = Folder(tmp_path)
    cats = [e.key for part in ("train", "val", "test") for e in folder.examples(part) if e.label == 0]
    assert sorted(cats) == ["cat/0.png", "cat/indoors/0.png", "cat/indoors/1.png"]


def test_a_folder_without_images_is_not_a_class(tmp_path):
    write_class_folders(tmp_path, cat=2, dog=2, empty=0, void=0)
    with pytest.warns(UserWarning, match=f"^no training images of empty, void in {tmp_path}; ignored$"):
        assert Folder(tmp_path).classnames == ("cat", "dog")


@pytest.mark.parametrize(
    "make",
    [
        lambda root: root.mkdir(),
        lambda root: write_class_folders(root, cat=0),
        lambda root: write_class_folders(root.parent, photos=2),
    ],
)
def test_no_images_is_refused(tmp_path, make):
    make(tmp_path / "photos")
    with pytest.raises(
        UserError, match=r"photos contains no images in class folders; expected .*photos/<class>/<image>\.jpg"
    ):
        Folder(tmp_path / "photos")


def test_one_class_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"has one class only \(cat\); classification needs at least two"):
        Folder(write_class_folders(tmp_path, cat=5, dog=0))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"no folder at {tmp_path}/phtos; check the path after folder:"):
        Folder(tmp_path / "phtos")


@pytest.mark.parametrize("one, other", [("red_fox", "red-fox"), ("red fox", "RedFox"), ("Cat", "cat")])
def test_folders_with_the_same_readable_name_are_refused(tmp_path, one, other):
    with pytest.raises(UserError, match="two classes of .* read as '(red fox|cat)'; rename one"):
        Folder(write_class_folders(tmp_path, **{one: 2, other: 2, "dog": 2}))


def test_the_split_equals_that_of_earlier_versions(tmp_path):
    """Pinned: runs of earlier versions used this split."""
    folder = Folder(write_class_folders(tmp_path, dog=11, cat=23, red_fox=7))
    keys = [[e.key for e in folder.examples(part)] for part in ("train", "val", "test")]
    assert list(map(len, keys)) == [21, 8, 12]
    assert hashlib.sha256(repr(keys).encode()).hexdigest()[:12] == "8b0b210323c7"
