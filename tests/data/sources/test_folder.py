"""A user's folder: its parts, its names, and what may go wrong with it."""

import hashlib
import os
import shutil
import warnings
from pathlib import Path

import pytest
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from cliptune.data.sources.folder import Folder
from cliptune.errors import UserError


def fill(root, **counts):
    """Plain pictures: `fill(root, cat=3)` makes root/cat/0.png, 1.png, 2.png."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", (8, 6), (i, 0, 0)).save(root / name / f"{i}.png")
    return root


def sizes(folder):
    return {
        part: [sum(e.label == i for e in folder.examples(part)) for i in range(len(folder.classnames))]
        for part in ("train", "val", "test")
    }


def test_classes_side_by_side_are_cut_half_fifth_rest(tmp_path):
    folder = Folder(fill(tmp_path, dog=10, cat=20))
    assert folder.classnames == ("cat", "dog")
    assert sizes(folder) == {"train": [10, 5], "val": [4, 2], "test": [6, 3]}
    keys = [e.key for part in ("train", "val", "test") for e in folder.examples(part)]
    assert len(keys) == len(set(keys)) == 30
    assert all((tmp_path / key).is_file() for key in keys)


def test_the_cut_is_the_same_elsewhere_and_later(tmp_path):
    one = Folder(fill(tmp_path / "a", dog=10, cat=20))
    for name in ("dog", "cat"):  # written in another order
        fill(tmp_path / "b", **{name: {"dog": 10, "cat": 20}[name]})
    other = Folder(tmp_path / "b")
    for part in ("train", "val", "test"):
        assert [(e.key, e.label) for e in one.examples(part)] == [(e.key, e.label) for e in other.examples(part)]
    assert {e.key for e in one.examples("test")} != {f"cat/{i}.png" for i in range(6)} | {
        f"dog/{i}.png" for i in range(3)
    }


@pytest.mark.parametrize("count, train, test", [(1, 1, 0), (2, 1, 1), (3, 1, 1), (4, 2, 1)])
def test_a_small_class_keeps_something_to_train_on(tmp_path, count, train, test):
    found = sizes(Folder(fill(tmp_path, few=count, many=10)))
    assert found["train"][0] == train and found["test"][0] == test
    assert sum(found[part][0] for part in found) == count


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("training", "valid", "testing"), ("train", "validation", "test")]
)
def test_parts_are_taken_as_they_are(tmp_path, names):
    for name, count in zip(names, (4, 2, 3), strict=True):
        fill(tmp_path / name, cat=count, dog=count)
    folder = Folder(tmp_path)
    assert sizes(folder) == {"train": [4, 4], "val": [2, 2], "test": [3, 3]}
    assert folder.examples("test")[0].key == f"{names[2]}/cat/0.png"


def test_a_missing_part_takes_its_share_of_training(tmp_path):
    fill(tmp_path / "train", cat=10, dog=10)
    fill(tmp_path / "test", cat=3, dog=2)
    assert sizes(Folder(tmp_path)) == {"train": [8, 8], "val": [2, 2], "test": [3, 2]}
    shutil.rmtree(tmp_path / "test")
    assert sizes(Folder(tmp_path)) == {"train": [5, 5], "val": [2, 2], "test": [3, 3]}


def test_labels_are_those_of_training(tmp_path):
    fill(tmp_path / "train", dog=2, cat=2)
    fill(tmp_path / "test", ant=1, dog=1)  # no ant was trained on, no cat is tested
    with warnings.catch_warnings(record=True, action="always") as told:
        folder = Folder(tmp_path)
    assert [str(note.message) for note in told] == [
        f"no training pictures of ant in {tmp_path}: left out",
        f"no test pictures of cat in {tmp_path}: accuracy says nothing of it",
    ]
    assert folder.classnames == ("cat", "dog")
    assert [(e.key, e.label) for e in folder.examples("test")] == [("test/dog/0.png", 1)]


def test_a_test_part_alone(tmp_path):
    fill(tmp_path / "test", cat=2, dog=2)
    with pytest.raises(UserError, match="has test but no train folder; add one, or put the classes side by side"):
        Folder(tmp_path)


def test_hidden_files_and_others_are_no_pictures(tmp_path):
    fill(tmp_path, cat=2, dog=2)
    fill(tmp_path, **{".cache": 3})
    fill(tmp_path / "cat", **{".thumbnails": 3})
    shutil.copy(tmp_path / "cat" / "0.png", tmp_path / "cat" / "._0.png")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "cat" / "folder.png").mkdir()
    folder = Folder(tmp_path)
    assert folder.classnames == ("cat", "dog")
    assert sum(map(sum, sizes(folder).values())) == 4


def test_pictures_deeper_down_belong_to_their_class(tmp_path):
    fill(tmp_path, cat=1, dog=2)
    fill(tmp_path / "cat", indoors=2)
    folder = Folder(tmp_path)
    cats = [e.key for part in ("train", "val", "test") for e in folder.examples(part) if e.label == 0]
    assert sorted(cats) == ["cat/0.png", "cat/indoors/0.png", "cat/indoors/1.png"]


def test_a_class_folder_without_pictures_is_no_class(tmp_path):
    fill(tmp_path, cat=2, dog=2, empty=0, void=0)
    with pytest.warns(UserWarning, match=f"^no training pictures of empty, void in {tmp_path}: left out$"):
        assert Folder(tmp_path).classnames == ("cat", "dog")


@pytest.mark.parametrize(
    "make", [lambda root: root.mkdir(), lambda root: fill(root, cat=0), lambda root: fill(root.parent, photos=2)]
)
def test_no_pictures(tmp_path, make):
    make(tmp_path / "photos")
    with pytest.raises(
        UserError, match=r"photos holds no pictures in class folders; expected .*photos/<class>/<picture>\.jpg"
    ):
        Folder(tmp_path / "photos")


def test_one_class(tmp_path):
    with pytest.raises(UserError, match=r"has one class only \(cat\); classification needs at least two"):
        Folder(fill(tmp_path, cat=5, dog=0))


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match=f"no folder at {tmp_path}/phtos; check the path after folder:"):
        Folder(tmp_path / "phtos")


@pytest.mark.parametrize("one, other", [("red_fox", "red-fox"), ("red fox", "RedFox"), ("Cat", "cat")])
def test_two_folders_that_read_the_same(tmp_path, one, other):
    with pytest.raises(UserError, match="two classes of .* read as '(red fox|cat)'; rename one"):
        Folder(fill(tmp_path, **{one: 2, other: 2, "dog": 2}))


def test_the_cut_stays_what_it_was(tmp_path):
    """Pinned: runs of earlier versions have this data."""
    folder = Folder(fill(tmp_path, dog=11, cat=23, red_fox=7))
    keys = [[e.key for e in folder.examples(part)] for part in ("train", "val", "test")]
    assert list(map(len, keys)) == [21, 8, 12]
    assert hashlib.sha256(repr(keys).encode()).hexdigest()[:12] == "8b0b210323c7"


@pytest.mark.parametrize("names", [("Train", "TEST"), ("Training", "Testing")])
def test_parts_are_known_in_any_case(tmp_path, names):
    for name in names:
        fill(tmp_path / name, cat=3, dog=3)
    assert Folder(tmp_path).classnames == ("cat", "dog")


def test_two_folders_for_one_part(tmp_path):
    fill(tmp_path / "val", cat=2, dog=2)
    fill(tmp_path / "valid", cat=2, dog=2)
    with pytest.raises(UserError, match="has both val and valid; keep one val folder"):
        Folder(tmp_path)


def test_a_folder_of_masks_is_no_class(tmp_path):
    fill(tmp_path, cat=4, dog=4)
    fill(tmp_path / "Masks", cat=4, dog=4)
    with pytest.warns(
        UserWarning, match=f"{tmp_path}/Masks is taken for masks .* --masks-from folder:{tmp_path}/Masks"
    ):
        assert Folder(tmp_path).classnames == ("cat", "dog")


def test_mask_is_a_class_where_there_would_be_one_only(tmp_path):
    assert Folder(fill(tmp_path, mask=4, no_mask=4)).classnames == ("mask", "no mask")


def test_a_dataset_one_folder_deeper(tmp_path):
    for part in ("train", "test"):
        fill(tmp_path / "pets" / part, cat=2, dog=2)
    with pytest.raises(
        UserError, match=f"pets is a dataset of its own, with a train folder; say folder:{tmp_path}/pets$"
    ):
        Folder(tmp_path)
    fill(tmp_path / "a" / "photos", cat=2, dog=2)
    with pytest.raises(
        UserError, match=rf"one class only \(photos\); if the classes .* say folder:{tmp_path}/a/photos$"
    ):
        Folder(tmp_path / "a")


def test_parts_inside_classes(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / name, train=2, test=2)
    with pytest.raises(UserError, match=f"expected {tmp_path}/train/cat/<picture>.jpg"):
        Folder(tmp_path)


def test_a_class_may_have_a_folder_called_training(tmp_path):
    fill(tmp_path, gym=2, pool=2)
    fill(tmp_path / "gym", training=2)
    assert sum(sum(counts) for counts in sizes(Folder(tmp_path)).values()) == 6


@pytest.mark.parametrize(
    "name, hint",
    [
        ("photos.zip", "is an archive; unpack it and give the folder"),
        ("list.csv", "a list of pictures is read by csv:"),
        ("split.json", "a list of pictures is read by json:"),
        ("cat.jpg", "is a file, not a folder; give the folder that holds the classes"),
    ],
)
def test_a_file_in_place_of_the_folder(tmp_path, name, hint):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=f"{tmp_path}/{name} {hint}" if hint.startswith("is") else hint):
        Folder(tmp_path / name)


def test_links_to_classes_and_pictures(tmp_path):
    fill(tmp_path / "photos", cat=3)
    fill(tmp_path / "elsewhere", dog=3)
    os.symlink(tmp_path / "elsewhere" / "dog", tmp_path / "photos" / "dog")
    os.symlink(tmp_path / "photos" / "cat" / "0.png", tmp_path / "photos" / "cat" / "9.png")
    folder = Folder(tmp_path / "photos")
    assert folder.classnames == ("cat", "dog")
    assert sum(sizes(folder)[part][0] for part in ("train", "val", "test")) == 4


def test_a_link_that_leads_nowhere_is_told_when_it_is_read(tmp_path):
    fill(tmp_path, cat=1, dog=1)
    os.symlink(tmp_path / "gone.png", tmp_path / "cat" / "1.png")
    folder = Folder(tmp_path)
    broken = next(e for part in ("train", "val", "test") for e in folder.examples(part) if e.key == "cat/1.png")
    with pytest.raises(UserError, match=r"cat/1\.png"):
        folder.read(broken)


def test_what_archives_and_disks_leave_behind(tmp_path):
    fill(tmp_path, cat=2, dog=2, __MACOSX=2)
    fill(tmp_path / "cat", **{"@eaDir": 2})
    folder = Folder(tmp_path)
    assert folder.classnames == ("cat", "dog") and sum(map(sum, sizes(folder).values())) == 4


def test_suffixes_in_capitals_and_kinds_that_are_not_read(tmp_path):
    fill(tmp_path, cat=2, dog=2)
    (tmp_path / "cat" / "0.png").rename(tmp_path / "cat" / "0.PNG")
    (tmp_path / "dog" / "x.HEIC").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"^1 of the files in .* of kinds that are not read \(.heic\): left out"):
        assert sum(map(sum, sizes(Folder(tmp_path)).values())) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_closed_folder(tmp_path):
    fill(tmp_path, cat=2, dog=2)
    (tmp_path / "cat").chmod(0)
    try:
        with pytest.raises(UserError, match="cannot look into .*cat: permission denied"):
            Folder(tmp_path)
    finally:
        (tmp_path / "cat").chmod(0o755)


def test_names_in_any_script(tmp_path):
    assert Folder(fill(tmp_path, **{"Käse": 2, "日本": 2})).classnames == ("Käse", "日本")


CIFAR = Path(__file__).parents[4] / "shared" / "data" / "photos" / "cifar10"


@pytest.mark.skipif(not CIFAR.is_dir(), reason="../shared/data/photos/cifar10 is not here")
def test_a_real_folder_from_train_to_predict(tmp_path, capsys):
    from cliptune.cli import main

    for part, count in (("train", 4), ("test", 2)):
        for name in ("cat", "ship"):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for picture in sorted((CIFAR / part / name).iterdir())[:count]:
                shutil.copy(picture, tmp_path / "photos" / part / name)
    data, run = f"folder:{tmp_path / 'photos'}", str(tmp_path / "run")
    main(["train", "coop", "--data", data, "--shots", "2", "--epochs", "1", "--out", run])
    trained = capsys.readouterr().out
    main(["evaluate", run])
    assert capsys.readouterr().out == trained and trained.startswith("test ")
    main(["predict", run, str(tmp_path / "photos" / "test")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(" cat " in line and " ship " in line for line in lines)


def test_pictures_read_back_as_they_were_drawn(photos, cutouts):
    for root in (photos, cutouts):
        folder = Folder(root)
        for example in folder.examples("train"):
            picture = folder.read(example)
            assert picture.image.equal(pil_to_tensor(Image.open(photos / example.key)))
            assert (picture.mask is not None) == (root == cutouts)
            if picture.mask is not None:
                mask = pil_to_tensor(Image.open(photos.parent / "masks" / example.key))
                assert picture.mask.equal(mask) and 0 < mask.float().mean() < 255
