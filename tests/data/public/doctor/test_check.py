"""The status of public datasets on disk, with invented specifications and empty image files that nothing opens."""

import json
import os
import subprocess

import pytest

import fake_voc
from cliptune.data.public.doctor.check import check_datasets
from cliptune.errors import UserError
from fake_public_datasets import IMAGES, KINDS, Zoo, status_of, write_dataset


@pytest.mark.parametrize("home, kind", [("city-zoo", "CoOp"), ("zoo-v2", "torchvision")])
def test_ready_in_each_layout(tmp_path, home, kind):
    report = status_of(write_dataset(tmp_path, home))
    assert (report.status, report.layout, report.fix, report.notes) == ("ready", kind, "", ())
    assert report.pictures.expected == report.pictures.found == 6 and report.pictures.missing == ()
    assert report.split.known is True and report.split.file.parent == report.home == tmp_path / home
    assert report.masks is None


def test_extra_files_do_not_matter(tmp_path):
    write_dataset(tmp_path, "city-zoo", keys=[*IMAGES, "README.txt", "tabby/extra.jpg", "lion/a.jpg"])
    assert status_of(tmp_path).status == "ready"


def test_missing_images_of_a_dataset_are_counted_and_named(tmp_path):
    report = status_of(write_dataset(tmp_path, "city-zoo", keys=IMAGES[:2]))
    assert report.status == "incomplete"
    assert (report.pictures.expected, report.pictures.found) == (6, 2)
    assert report.pictures.missing == tuple(IMAGES[2:])
    assert report.notes == ("1 folder does not exist (beagle)",)
    assert f"cliptune data download city_zoo --root {tmp_path}" in report.fix


def test_no_more_than_twenty_are_named(tmp_path):
    many = {"train": [[f"a/{i}.jpg", 0, "a"] for i in range(30)] + [["b/0.jpg", 1, "b"]], "val": [], "test": []}
    write_dataset(tmp_path, "city-zoo", keys=["b/0.jpg"])
    (tmp_path / "city-zoo" / Zoo.spec.split_file).write_text(json.dumps(many))
    report = status_of(tmp_path)
    assert (report.pictures.expected, report.pictures.found, len(report.pictures.missing)) == (31, 1, 20)
    assert report.split.known is False and "its sha256 begins with" in report.notes[0]


def test_images_without_their_split(tmp_path):
    report = status_of(write_dataset(tmp_path, "city-zoo", split=None))
    assert report.status == "no split" and report.split is None and report.pictures is None
    assert "split_zhou_CityZoo.json" in report.fix and "https://zoo.example" in report.fix
    assert report.notes == ("6 image files are there",)


def test_an_invalid_split(tmp_path):
    write_dataset(tmp_path, "city-zoo")
    (tmp_path / "city-zoo" / Zoo.spec.split_file).write_text("<html>sign in to download</html>")
    report = status_of(tmp_path)
    assert report.status == "no split" and "is not a split file" in report.fix


def test_a_dataset_without_a_published_split(tmp_path):
    report = status_of(write_dataset(tmp_path, "farm", "", split="split_zhou_Farm.json"), "city_zoo_farm")
    assert report.status == "ready" and report.split.known is None


LAYOUTS = {
    "other capitals": ("City-Zoo", "images"),
    "the published configurations' name": ("CityZoo", "images"),
    "capitals of both": ("CITY_ZOO", "Images"),
    "capitals of the image folder": ("city-zoo", "Images"),
    "a folder twice": ("city-zoo/city-zoo", "images"),
    "deep down": ("city-zoo/data/v1", "images"),
    "another name of the image folder": ("city-zoo", "photos"),
    "no image folder": ("city-zoo", ""),
    "neither": ("zoo", ""),
    "a name of one's own": ("my zoo", "images"),
}


@pytest.mark.parametrize("how", LAYOUTS)
def test_the_fix_of_a_wrong_layout_works(tmp_path, how):
    home, images = LAYOUTS[how]
    root = write_dataset(tmp_path / "my data", home, images)
    report = status_of(root)
    for _ in range(2):
        if report.status == "ready":
            break
        assert report.status == "wrong layout", report
        command = report.fix.split(": ", 1)[1]
        subprocess.run(["bash", "-ec", command], check=True)
        report = status_of(root)
    assert report.status == "ready", report


def test_an_image_folder_one_level_deeper(tmp_path):
    root = write_dataset(tmp_path, "farm/farm", "", split="split_zhou_Farm.json")
    report = status_of(root, "city_zoo_farm")
    assert report.status == "wrong layout"
    subprocess.run(["bash", "-ec", report.fix.split(": ", 1)[1]], check=True)
    assert status_of(root, "city_zoo_farm").status == "ready"


def test_suffixes_in_other_case(tmp_path):
    root = write_dataset(tmp_path, "city-zoo", keys=[*IMAGES[:4], *(key.replace("jpg", "JPG") for key in IMAGES[4:])])
    report = status_of(root)
    assert report.status == "incomplete" and "2 end in .JPG, not .jpg" in report.fix
    subprocess.run(["bash", "-ec", report.fix.split(": ", 1)[1]], check=True)
    assert status_of(root).status == "ready"


@pytest.mark.parametrize(
    "file, whose",
    [
        ("city-zoo.zip", "city_zoo"),
        ("CityZoo-r1.0.tar.gz", "city_zoo"),
        ("city_zoo_farm.tgz", "city_zoo_farm"),
        ("city-zoo/images.tar", "city_zoo"),
    ],
)
def test_archives_that_are_not_unpacked(tmp_path, file, whose):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    reports = {report.name: report for report in check_datasets(tmp_path, (), KINDS).reports}
    assert reports.pop(whose).fix.partition(": ")[2].split()[:2] in (
        ["unzip", str(tmp_path / file)],
        ["tar", "xf"],
    )
    assert all(report.status == "absent" for report in reports.values())


@pytest.mark.parametrize(
    "masks, files",
    [
        ("flat", ["a.jpg", "b.jpg"]),
        ("class", ["tabby/a.jpg", "tabby/b.jpg", "beagle/a.jpg"]),
        ("images", ["tabby/a.jpg", "tabby/b.jpg"]),
        ("flat", ["images/tabby/a.jpg", "images/tabby/b.jpg", "images/beagle/a.jpg"]),  # data download masks
    ],
)
def test_masks_of_the_released_archive(tmp_path, monkeypatch, masks, files):
    from dataclasses import replace

    monkeypatch.setattr(Zoo, "spec", replace(Zoo.spec, mask_layout=masks))
    write_dataset(tmp_path, "city-zoo")
    for file in files:
        path = tmp_path / "city-zoo" / "mask" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = status_of(tmp_path).masks
    # In a flat folder, the masks of two images called a.jpg are one file.
    assert (found.expected, found.found) == (3, 2 if masks == "images" else 3)


@pytest.mark.parametrize("train, status", [(4, "ready"), (5, "ready"), (3, "incomplete"), (0, "incomplete")])
def test_class_folders_are_compared_with_the_known_counts(tmp_path, train, status):
    keys = [f"train/rose/{i}.jpg" for i in range(train)] + ["test/rose/0.jpg", "test/rose/1.jpg"]
    report = status_of(write_dataset(tmp_path, "meadow", "", keys, None), "meadow")
    assert (report.status, report.pictures.expected, report.pictures.found) == (status, 6, train + 2)
    assert report.notes[0] == "it has other names"
    assert ("the test set is complete: it can be used for testing" in report.notes) == (status == "incomplete")


def test_class_folders_that_are_missing(tmp_path):
    report = status_of(write_dataset(tmp_path, "meadow", "", ["train/rose/0.jpg", "README.txt"], None), "meadow")
    assert report.status == "incomplete" and report.fix == "1 of the 1 class folders of Meadow is missing"
    assert (report.pictures.expected, report.pictures.found) == (6, 1)


def test_a_dataset_with_its_own_lists(tmp_path):
    """Pascal VOC is also ready with the short list of the challenge, with a note."""
    root = fake_voc.write_voc(tmp_path, long=False)
    (report,) = check_datasets(root, ["pascal_voc"]).reports
    assert report.status == "ready" and "not the 10582 of published results" in report.notes[0]
    assert report.pictures.expected == report.pictures.found == len(fake_voc.TRAIN) + len(fake_voc.VAL)
    assert (report.masks.expected, report.masks.found) == (len(fake_voc.TRAIN), len(fake_voc.TRAIN))
    next((report.home / "JPEGImages").iterdir()).unlink()
    (report,) = check_datasets(root, ["pascal_voc"]).reports
    assert report.status == "incomplete" and "1 of the" in report.fix
    (report.home / "ImageSets" / "Segmentation" / "val.txt").unlink()
    (report,) = check_datasets(root, ["pascal_voc"]).reports
    assert report.status == "no split" and "val.txt" in report.fix


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    write_dataset(tmp_path, "city-zoo")
    listing = os.scandir

    def refuse(path="."):
        if str(path).endswith("beagle"):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = status_of(tmp_path)
    assert report.status == "unreadable" and "beagle" in report.fix and "permissions" in report.fix


def test_a_missing_root_shows_the_nearest_folder(tmp_path):
    (tmp_path / "Datasets").mkdir()
    (tmp_path / "file").touch()
    for given, message in (
        (tmp_path / "datsets", f"did you mean {tmp_path / 'Datasets'}?"),
        (tmp_path / "x" / "y", f"the nearest that exists is {tmp_path}"),
        (tmp_path / "file", "is a file"),
    ):
        with pytest.raises(UserError) as error:
            check_datasets(given, (), KINDS)
        assert message in str(error.value)


def test_a_root_that_is_a_dataset_folder_is_recognised(tmp_path):
    right = write_dataset(tmp_path / "up" / "data", "city-zoo")
    for given in (right / "city-zoo", right / "city-zoo" / "images"):
        assert check_datasets(given, (), KINDS).fix.endswith(f"give the folder above its own: {right}")
    for given in (tmp_path, tmp_path / "up"):
        assert f"give {right} (it contains CityZoo)" in check_datasets(given, (), KINDS).fix
    assert check_datasets(right, (), KINDS).fix == ""
    other = write_dataset(tmp_path / "else", "animals") / "animals"
    assert f"mv {other} {other.parent / 'city-zoo'}; then give {other.parent}" in check_datasets(other, (), KINDS).fix


def test_an_empty_root(tmp_path):
    found = check_datasets(tmp_path, (), KINDS)
    assert [report.status for report in found.reports] == ["absent"] * 3
    message = f"{tmp_path} is empty; each dataset has its own folder in it (city-zoo, farm, meadow); "
    assert found.fix == f"{message}cliptune data download NAME --root {tmp_path} creates them"


def test_unknown_names(tmp_path):
    with pytest.raises(UserError, match="no public dataset 'citizoo'; nearest: city_zoo"):
        check_datasets(tmp_path, ["citizoo"], KINDS)
