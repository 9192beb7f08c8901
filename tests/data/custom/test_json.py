"""Split files for custom data."""

import json
from pathlib import Path

import pytest
from PIL import Image

import cliptune as ct
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.custom.json import Json
from cliptune.errors import UserError

PATHS = [f"photos/{name}/{i}.png" for name in ("cat", "red_fox") for i in range(4)]
ITEMS = [[path, PATHS.index(path) // 4, path.split("/")[1]] for path in PATHS]
PARTS = {"train": ITEMS[::2], "val": ITEMS[1:2] + ITEMS[5:6], "test": ITEMS[3:4] + ITEMS[7:]}


@pytest.fixture
def split(tmp_path):
    """A function that writes a split file next to eight images."""
    for name in PATHS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / name)

    def write(content, folder: Path = tmp_path) -> Path:
        (folder / "split.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return folder / "split.json"

    return write


def test_splits_and_names_are_those_of_the_file(split):
    dataset = Json(split(PARTS))
    assert dataset.classnames == ("cat", "red_fox")
    for part, items in PARTS.items():
        assert [[e.key, e.label] for e in dataset.examples(part)] == [item[:2] for item in items]
    assert dataset.read(dataset.examples("test")[0]).image.shape == (3, 6, 8)


@pytest.mark.parametrize("parts", [PARTS | {"val": []}, {k: v for k, v in PARTS.items() if k != "val"}])
def test_without_validation(split, parts):
    path = split(parts)
    assert Json(path).examples("val") == []
    options = {"data": f"json:{path}", "shots": 1, "epochs": 1}
    with pytest.raises(ct.UserError, match="keep=best needs validation images, .*use keep=last"):
        ct.train("coop", **options, keep="best")
    assert set(ct.train("coop", **options, keep="last").evaluate()) == {"test"}


@pytest.mark.parametrize("parts", [PARTS | {"train": [], "val": []}, {"test": PARTS["test"]}])
def test_a_file_of_test_images_is_a_test_set(split, parts):
    dataset = Json(split(parts))
    assert [len(dataset.examples(part)) for part in ("train", "val", "test")] == [0, 0, 2]
    with pytest.raises(ct.UserError, match="no training images, as it is a test set"):
        ct.train("coop", data=f"json:{dataset.file}")


def test_paths_are_relative_to_the_given_root(split, tmp_path):
    (tmp_path / "lists").mkdir()
    path = split(PARTS, tmp_path / "lists")
    with pytest.raises(
        UserError, match=f"8 of 8 images of {path} do not exist: .*; paths are relative to {tmp_path}/lists"
    ):
        Json(path)
    assert len(sources.get(f"json:{path}", DataConfig(root=str(tmp_path))).examples("train")) == 4


def test_missing_images_are_refused(split, tmp_path):
    path = split(PARTS)
    (tmp_path / PATHS[0]).unlink()
    message = f"^1 of 8 images of {path} do not exist: {PATHS[0]}"
    with pytest.raises(UserError, match=message + "; paths are relative to .*skip them: --skip-bad"):
        Json(path)
    with pytest.warns(UserWarning, match=message + "; ignored"):
        assert len(Json(path, DataConfig(skip_bad=True)).examples("train")) == 3


def test_a_class_without_training_images_is_refused(split):
    with pytest.warns(UserWarning, match="no training images of red_fox in"):
        Json(split({"train": ITEMS[:3], "test": ITEMS[3:]}))


@pytest.mark.parametrize(
    "content, reason",
    [
        ("[", "is not a split file with train, val and test lists"),
        ([1], "it contains a list"),
        ({"train": ITEMS}, "no list test in it"),
        ({"train": ITEMS, "test": []}, "lists no test images; correct the file"),
        ({"train": ITEMS[:4], "test": ITEMS[:0] + [["x.png", 0, "cat"]]}, r"one class only \(cat\)"),
        ({"train": ITEMS[:1], "test": ITEMS}, "twice, in train and in test; correct the file"),
        ({"train": [["a.png", "cat"]], "test": ITEMS}, r"train entry 0 is \['a.png', 'cat'\]"),
        ({"train": [["a.png", 7, "cat"]], "test": ITEMS}, "labels of .* are not 0 to 2; correct the file|both"),
    ],
)
def test_invalid_splits_are_refused(split, content, reason):
    with pytest.raises(UserError, match=reason):
        Json(split(content))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="json needs a file: --data json:FILE"):
        sources.get("json:")
    with pytest.raises(UserError, match="no file at .*none.json; check the path after json:"):
        sources.get(f"json:{tmp_path}/none.json")
    with pytest.raises(UserError, match="is a folder, not a split file"):
        sources.get(f"json:{tmp_path}")
