"""Files that exist but are not images, and datasets in archives or in folders with unusual names."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import mini_public_datasets
from cliptune.data import public
from cliptune.data.public.doctor.check import check_datasets
from fake_public_datasets import IMAGES, status_of, write_dataset

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def spoiled(root, content, count=6):
    """A zoo whose images have this `content`, but for real images after the first `count`."""
    write_dataset(root, "city-zoo")
    for i, key in enumerate(IMAGES):
        path = root / "city-zoo" / "images" / key
        if i < count:
            path.write_bytes(content)
        else:
            Image.new("RGB", (20, 20), "red").save(path)
    return status_of(root)


@pytest.mark.parametrize(
    "content, why, way",
    [
        (POINTER, "is a Git LFS pointer, not an image", "git -C {} lfs pull"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page, not an image", "download them again"),
        (b"/annex/objects/SHA256E-s1--0.jpg\n", "is a git-annex pointer", "git -C {} annex get ."),
        (b"\xff\xd8\xff\xe0 half", "is ", "download them again"),
    ],
)
def test_files_that_are_not_images_are_not_ready(tmp_path, content, why, way):
    report = spoiled(tmp_path, content)
    assert report.status == "incomplete"
    assert report.fix.startswith("6 of 6 sampled images cannot be read, such as ") and why in report.fix
    assert report.fix.endswith(": " + way.format(tmp_path / "city-zoo"))


def test_some_empty_files(tmp_path):
    report = spoiled(tmp_path, b"", 2)
    assert report.status == "incomplete" and "2 of 6 sampled images cannot be read" in report.fix
    assert spoiled(tmp_path, POINTER, 0).status == "ready"


def test_further_problems_are_reported_too(tmp_path):
    report = spoiled(tmp_path, POINTER)
    (tmp_path / "city-zoo" / report.split.file.name).unlink()
    report = status_of(tmp_path)
    assert report.status == "no split" and "Git LFS" in report.fix and "put split_zhou" in report.notes[-1]


@pytest.mark.skipif(not REAL.is_dir(), reason="shared/data/real, where real Git LFS pointers are, is not here")
def test_real_pointers():
    (report,) = check_datasets(REAL / "lfs-pointers", ["oxford_flowers"]).reports
    assert "4 of 4 sampled images cannot be read" in report.fix and report.fix.endswith("lfs pull")


@pytest.mark.parametrize("laid", ["{part}/{label}", "jpg/{label}", "{label}"])
def test_flowers_in_class_folders_are_moved_together(tmp_path, laid):
    card = public.specs()["oxford_flowers"]
    split = mini_public_datasets.write_dataset(card, tmp_path)
    home = tmp_path / card.layouts[0].home
    for part, items in split.items():
        for path, label, _ in items:
            place = home / laid.format(part=part, label=label)
            place.mkdir(parents=True, exist_ok=True)
            (home / "jpg" / path).rename(place / path)
    if not laid.startswith("jpg"):
        (home / "jpg").rmdir()
    (report,) = check_datasets(tmp_path, ["oxford_flowers"]).reports
    assert report.status == "wrong layout" and "but belong into one" in report.fix
    subprocess.run(["bash", "-ec", report.fix.split(": ", 1)[1]], check=True)
    (report,) = check_datasets(tmp_path, ["oxford_flowers"]).reports
    assert report.status == "ready" and report.pictures.found == sum(map(len, split.values()))


def test_classes_in_train_and_test_folders_are_moved_together(tmp_path):
    write_dataset(tmp_path, "city-zoo")
    for i, key in enumerate(IMAGES):
        place = tmp_path / "city-zoo" / ("train" if i < 3 else "test") / key
        place.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "city-zoo" / "images" / key).rename(place)
    subprocess.run(["rm", "-r", str(tmp_path / "city-zoo" / "images")], check=True)
    report = status_of(tmp_path)
    assert report.status == "wrong layout" and "the images are in test, train of" in report.fix
    subprocess.run(["bash", "-ec", report.fix.split(": ", 1)[1]], check=True)
    assert status_of(tmp_path).status == "ready"


@pytest.mark.parametrize(
    "file, whose, home",
    [
        ("101_ObjectCategories.tar.gz", "caltech101", "caltech-101"),
        ("102flowers.tgz", "oxford_flowers", "oxford_flowers"),
        ("EuroSAT.zip", "eurosat", "eurosat"),
        ("UCF-101-midframes.zip", "ucf101", "ucf101"),
        ("SUN397.tar.gz", "sun397", "sun397"),
        ("cars_train.tgz", "stanford_cars", "stanford_cars"),
        ("imagenet-r.tar", "imagenet_r", "imagenet-rendition"),
        ("ILSVRC2012_img_val.tar", "imagenet", "imagenet/images/val"),
        ("food-101.tar.gz", "food101", ""),
    ],
)
def test_archives_by_their_known_names(tmp_path, file, whose, home):
    (tmp_path / file).touch()
    reports = {report.name: report.fix for report in check_datasets(tmp_path).reports if report.status != "absent"}
    assert list(reports) == [whose] and f"{file} is there, but not unpacked: " in reports[whose]
    assert reports[whose].endswith(str(tmp_path / home).rstrip("/")) and ("mkdir -p" in reports[whose]) == bool(home)


def test_moves_after_unpacking(tmp_path):
    with zipfile.ZipFile(tmp_path / "ImageNet-Sketch.zip", "w") as archive:
        archive.writestr("sketch/n01440764/a.JPEG", "x")
    (report,) = check_datasets(tmp_path, ["imagenet_sketch"]).reports
    command = report.fix.split(": ", 1)[1].replace("unzip", "python -m zipfile -e", 1).replace(" -d ", " ")
    subprocess.run(["bash", "-ec", command], check=True)
    assert (tmp_path / "imagenet-sketch" / "images" / "n01440764" / "a.JPEG").is_file()


def test_two_archives_of_one_dataset(tmp_path):
    for name in ("images", "annotations"):
        (tmp_path / f"{name}.tar.gz").touch()
    (report,) = check_datasets(tmp_path, ["oxford_pets"]).reports
    assert "annotations.tar.gz and images.tar.gz are there" in report.fix and report.fix.count("tar xf") == 2
