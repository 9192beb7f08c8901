"""Finding public datasets under a root."""

import re

import pytest

import mini_public_datasets
from cliptune.data.public.common import spec as cards
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts, locate
from cliptune.errors import UserError

SPEC = DatasetSpec(
    name="things",
    title="Things101",
    layouts=(Layout("CoOp", "things-101", "images"), Layout("torchvision", "things/things", "images")),
    num_classes=2,
    split_sizes=(2, 1, 1),
    split_file="split.json",
    source="things.org",
)
LISTED = DatasetSpec(
    "things", "Things101", SPEC.layouts, 2, (2, 1, 1), list_files=("names.txt", "train.txt"), source="things.org"
)


def made(tmp_path, *names):
    for name in names:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


@pytest.mark.parametrize("layout", SPEC.layouts)
@pytest.mark.parametrize("place", ["{home}/split.json", "split.json", "splits/split.json"])
def test_images_are_found_by_layout_and_the_split_in_any_folder(tmp_path, layout, place):
    made(tmp_path, f"{layout.home}/images/1.jpg", place.format(home=layout.home))
    found = locate(SPEC, tmp_path)
    assert found.layout == layout and found.home == tmp_path / layout.home and found.images == found.home / "images"
    assert found.split_file == tmp_path / place.format(home=layout.home)


def test_a_split_in_the_folder_of_another_layout_is_used(tmp_path):
    made(tmp_path, "things/things/images/1.jpg", "things-101/split.json")
    assert locate(SPEC, tmp_path).split_file == tmp_path / "things-101" / "split.json"


def test_the_first_layout_found_is_used(tmp_path):
    made(tmp_path, "things/things/images/1.jpg", "things-101/images/1.jpg", "split.json")
    assert locate(SPEC, tmp_path).layout.kind == "CoOp"


def test_a_missing_dataset_is_refused(tmp_path):
    with pytest.raises(
        UserError, match="no Things101 under .*: looked for things-101/images, things/things/images;"
    ) as e:
        locate(SPEC, tmp_path)
    assert f"cliptune data check {tmp_path}" in str(e.value)
    assert f"cliptune data download things --root {tmp_path}" in str(e.value)


@pytest.mark.parametrize("layout", SPEC.layouts)
def test_a_root_that_is_the_dataset_itself_is_refused(tmp_path, layout):
    made(tmp_path, f"{layout.home}/images/1.jpg", f"{layout.home}/split.json")
    message = f"is Things101 itself; give the folder above, --root {tmp_path}"
    with pytest.raises(UserError, match=re.escape(message) + "$"):
        locate(SPEC, tmp_path / layout.home)


def test_a_relative_root_inside_the_dataset_is_refused(tmp_path, monkeypatch):
    made(tmp_path, "things-101/images/1.jpg")
    monkeypatch.chdir(tmp_path / "things-101")
    with pytest.raises(UserError, match=re.escape(f"--root {tmp_path}") + "$"):
        locate(SPEC, mini_public_datasets.Path("."))


def test_a_missing_split_is_refused(tmp_path):
    made(tmp_path, "things-101/images/1.jpg")
    with pytest.raises(UserError, match=r"its split split\.json is not, .*put the file there \(things\.org\)"):
        locate(SPEC, tmp_path)


def test_a_dataset_with_its_own_lists(tmp_path):
    made(tmp_path, "things/things/images/1.jpg", "things/things/names.txt")
    with pytest.raises(UserError, match=r"Things101 in .*things/things .*train\.txt; .*\(things\.org\)"):
        locate(LISTED, tmp_path)
    made(tmp_path, "things/things/train.txt")
    assert locate(LISTED, tmp_path).split_file is None


def test_a_marker_folder_distinguishes_a_dataset_from_its_parent(tmp_path):
    layouts = (Layout("CoOp", "cars", "", "cars_train"), *archive_layouts("cars", "cars", "", "cars_train"))
    spec = DatasetSpec("cars", "Cars", layouts, 2, (2, 1, 1))
    made(tmp_path, "cars/cars/cars_train/1.jpg")
    assert locate(spec, tmp_path).home == tmp_path / "cars" / "cars"
    made(tmp_path, "cars/cars_train/1.jpg")
    assert locate(spec, tmp_path).home == tmp_path / "cars"


def test_extraction_folders_of_archives():
    assert [x.home for x in archive_layouts("food101", "food-101", "images")] == [
        "food101",
        "food101/food-101",
        "food101/food101",
        "food-101/food-101",
    ]
    assert [x.home for x in archive_layouts("dtd", "dtd", "images")] == ["dtd/dtd"]


def test_differences_from_the_published_dataset(tmp_path):
    file = tmp_path / "split.json"
    file.write_text("[]")
    names, counts = ("a", "b"), (2, 1, 1)
    own = cards.short_sha256(b"[]")
    assert cards.spec_mismatches(SPEC, file, names, counts) == []
    known = DatasetSpec("things", "Things101", SPEC.layouts, 2, (2, 1, 1), split_sha256=own, classnames_sha256="0" * 12)
    assert cards.spec_mismatches(known, file, names, counts) == [], "the file's own print decides"
    other = DatasetSpec("things", "Things101", SPEC.layouts, 3, (2, 1, 2), split_sha256="0" * 12)
    assert cards.spec_mismatches(other, file, names, counts) == [
        f"its sha256 begins with {own}, not 000000000000",
        "2 classes, not 3",
        "2/1/1 images, not 2/1/2",
    ]
    assert cards.spec_mismatches(known, None, names, counts) == ["different class names"]
