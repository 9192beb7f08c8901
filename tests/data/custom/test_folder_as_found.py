"""Real folders: unusual names and nesting, links, leftovers, unreadable folders."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError
from folder_datasets import class_sizes, write_class_folders


@pytest.mark.parametrize("names", [("Train", "TEST"), ("Training", "Testing")])
def test_split_names_are_case_insensitive(tmp_path, names):
    for name in names:
        write_class_folders(tmp_path / name, cat=3, dog=3)
    assert Folder(tmp_path).classnames == ("cat", "dog")


def test_two_folders_for_one_split_are_refused(tmp_path):
    write_class_folders(tmp_path / "val", cat=2, dog=2)
    write_class_folders(tmp_path / "valid", cat=2, dog=2)
    with pytest.raises(UserError, match="has both val and valid; keep one val folder"):
        Folder(tmp_path)


def test_a_folder_of_masks_is_not_a_class(tmp_path):
    write_class_folders(tmp_path, cat=4, dog=4)
    write_class_folders(tmp_path / "Masks", cat=4, dog=4)
    with pytest.warns(
        UserWarning, match=f"{tmp_path}/Masks is treated as a folder of masks, .* --masks-from folder:{tmp_path}/Masks"
    ):
        assert Folder(tmp_path).classnames == ("cat", "dog")


def test_mask_is_a_class_if_there_is_only_one_other(tmp_path):
    assert Folder(write_class_folders(tmp_path, mask=4, no_mask=4)).classnames == ("mask", "no mask")


def test_a_dataset_one_folder_deeper(tmp_path):
    for part in ("train", "test"):
        write_class_folders(tmp_path / "pets" / part, cat=2, dog=2)
    with pytest.raises(
        UserError, match=f"pets is a dataset of its own, with a train folder; use folder:{tmp_path}/pets$"
    ):
        Folder(tmp_path)
    write_class_folders(tmp_path / "a" / "photos", cat=2, dog=2)
    with pytest.raises(
        UserError, match=rf"one class only \(photos\); if the classes .* use folder:{tmp_path}/a/photos$"
    ):
        Folder(tmp_path / "a")


def test_splits_inside_classes(tmp_path):
    for name in ("cat", "dog"):
        write_class_folders(tmp_path / name, train=2, test=2)
    with pytest.raises(UserError, match=f"expected {tmp_path}/train/cat/<image>.jpg"):
        Folder(tmp_path)


def test_a_class_may_have_a_folder_called_training(tmp_path):
    write_class_folders(tmp_path, gym=2, pool=2)
    write_class_folders(tmp_path / "gym", training=2)
    assert sum(sum(counts) for counts in class_sizes(Folder(tmp_path)).values()) == 6


@pytest.mark.parametrize(
    "name, hint",
    [
        ("photos.zip", "is an archive; unpack it and give the folder"),
        ("list.csv", "a list of images is read by csv:"),
        ("split.json", "a list of images is read by json:"),
        ("cat.jpg", "is a file, not a folder; give the folder that contains the classes"),
    ],
)
def test_a_file_in_place_of_the_folder(tmp_path, name, hint):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=f"{tmp_path}/{name} {hint}" if hint.startswith("is") else hint):
        Folder(tmp_path / name)


def test_links_to_classes_and_images(tmp_path):
    write_class_folders(tmp_path / "photos", cat=3)
    write_class_folders(tmp_path / "elsewhere", dog=3)
    os.symlink(tmp_path / "elsewhere" / "dog", tmp_path / "photos" / "dog")
    os.symlink(tmp_path / "photos" / "cat" / "0.png", tmp_path / "photos" / "cat" / "9.png")
    folder = Folder(tmp_path / "photos")
    assert folder.classnames == ("cat", "dog")
    assert sum(class_sizes(folder)[part][0] for part in ("train", "val", "test")) == 4


def test_a_broken_link_is_reported_on_reading(tmp_path):
    write_class_folders(tmp_path, cat=1, dog=1)
    os.symlink(tmp_path / "gone.png", tmp_path / "cat" / "1.png")
    folder = Folder(tmp_path)
    broken = next(e for part in ("train", "val", "test") for e in folder.examples(part) if e.key == "cat/1.png")
    with pytest.raises(UserError, match=r"cat/1\.png"):
        folder.read(broken)


def test_leftovers_of_archives_and_file_systems_are_ignored(tmp_path):
    write_class_folders(tmp_path, cat=2, dog=2, __MACOSX=2)
    write_class_folders(tmp_path / "cat", **{"@eaDir": 2})
    folder = Folder(tmp_path)
    assert folder.classnames == ("cat", "dog") and sum(map(sum, class_sizes(folder).values())) == 4


def test_upper_case_suffixes_and_unsupported_formats(tmp_path):
    write_class_folders(tmp_path, cat=2, dog=2)
    (tmp_path / "cat" / "0.png").rename(tmp_path / "cat" / "0.PNG")
    (tmp_path / "dog" / "x.JXL").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"^1 of the files in .* have unsupported types \(.jxl: 1\) and are ignored"):
        assert sum(map(sum, class_sizes(Folder(tmp_path)).values())) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_an_unreadable_folder_is_refused(tmp_path):
    write_class_folders(tmp_path, cat=2, dog=2)
    (tmp_path / "cat").chmod(0)
    try:
        with pytest.raises(UserError, match="cannot look into .*cat: permission denied"):
            Folder(tmp_path)
    finally:
        (tmp_path / "cat").chmod(0o755)


def test_names_in_any_script(tmp_path):
    assert Folder(write_class_folders(tmp_path, **{"Käse": 2, "日本": 2})).classnames == ("Käse", "日本")


CIFAR = Path(__file__).parents[4] / "shared" / "data" / "photos" / "cifar10"


@pytest.mark.skipif(not CIFAR.is_dir(), reason="../shared/data/photos/cifar10 is not here")
def test_a_real_folder_from_train_to_predict(tmp_path, capsys):
    from cliptune.cli import main

    for part, count in (("train", 4), ("test", 2)):
        for name in ("cat", "ship"):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for image in sorted((CIFAR / part / name).iterdir())[:count]:
                shutil.copy(image, tmp_path / "photos" / part / name)
    data, run = f"folder:{tmp_path / 'photos'}", str(tmp_path / "run")
    main(["train", "coop", "--data", data, "--shots", "2", "--epochs", "1", "--out", run])
    trained = capsys.readouterr().out
    main(["evaluate", run])
    assert capsys.readouterr().out == trained and trained.startswith("test ")
    main(["predict", run, str(tmp_path / "photos" / "test")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(" cat " in line and " ship " in line for line in lines)


def test_images_are_read_as_written(photos, cutouts):
    for root in (photos, cutouts):
        folder = Folder(root)
        for example in folder.examples("train"):
            image = folder.read(example)
            drawn = pil_to_tensor(Image.open(photos / example.key))
            assert (image.mask is not None) == (root == cutouts)
            if image.mask is None:
                assert image.image.equal(drawn)
            else:
                solid, clear = image.mask[0] == 255, image.mask[0] == 0
                assert image.image[:, solid].equal(drawn[:, solid]) and (image.image[:, clear] == 255).all()
                mask = pil_to_tensor(Image.open(photos.parent / "masks" / example.key))
                assert image.mask.equal(mask) and 0 < mask.float().mean() < 255
