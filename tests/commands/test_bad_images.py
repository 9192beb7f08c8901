"""User errors in images, masks and class names: exit code 2, one sentence, no partial output."""

import re
import shutil

import pytest
from PIL import Image

from cliptune.results import store
from tiny_tasks import BRIEFLY, write_images


def test_empty_folder(train, tmp_path):
    (tmp_path / "photos").mkdir()
    assert "contains no images in class folders" in train(data=f"folder:{tmp_path / 'photos'}")
    assert "no folder at" in train(data=f"folder:{tmp_path / 'phtos'}")


def test_one_class_only(train, tmp_path):
    assert "has one class only (cat)" in train(data=f"folder:{write_images(tmp_path / 'one', classes=('cat',))}")


def test_three_classes_cannot_be_halved(train):
    assert "base_to_novel needs at least 4 classes" in train("coop", "--protocol", "base-to-novel")


@pytest.mark.parametrize("method", ["coop", "zeroshot", "maple+dapt"])
@pytest.mark.parametrize("content", [b"", b"no image", "half"])
def test_corrupt_image(train, tmp_path, method, content):
    root = shutil.copytree(write_images(tmp_path / "p", each=4), tmp_path / "photos")
    for path in root.glob("horse/*"):
        path.write_bytes(path.read_bytes()[:200] if content == "half" else content)
    result = train(method, data=f"folder:{root}")
    assert re.search(r"4 of 12 images cannot be read: .*/horse/\d\.png is ", result)
    assert result.endswith("remove or replace them, or leave them out with --skip-bad")


@pytest.fixture
def masks(tmp_path, photos):
    return shutil.copytree(photos.parent / "masks", tmp_path / "masks")


def test_mask_of_another_size(train, masks):
    for path in masks.rglob("*.png"):
        Image.new("L", (30, 20)).save(path)
    assert re.search(
        r"mask .*png is 30x20 but its image is 64x64", train("coop+dapt", "--masks-from", f"folder:{masks}")
    )


def test_missing_mask(train, masks):
    shutil.rmtree(masks / "pig")
    result = train("coop+dapt", "--masks-from", f"folder:{masks}")
    expected = r"masks of 2 of 6 images cannot be used \(2 missing\): pig/\d\.png has no mask under .*; add it or"
    assert re.search(expected, result)
    assert "no mask folder at" in train("coop+dapt", "--masks-from", "folder:nowhere")
    assert "unknown mask source 'gradcma'; known: auto, data" in train("coop+dapt", "--masks-from", "gradcma")
    assert "has no mask" in train("coop+dapt", "--masks-from", "data")


def test_missing_masks_can_be_left_out(cli, photos, masks, tmp_path):
    shutil.rmtree(masks / "pig")
    command = ("train", "coop+dapt", "--data", f"folder:{photos}", *BRIEFLY, "--masks-from", f"folder:{masks}")
    result = cli(*command, "--skip-bad", "--out", tmp_path / "run")
    assert result.code == 0, result.err
    assert "masks of 2 of 6 images cannot be used and these images are skipped; the first: pig/" in result.err
    left_out = store.load_result(tmp_path / "run" / "result.json").provenance["left_out"]
    assert len(left_out) == 2 and all(key.startswith("pig/") for key in left_out)


def test_unreadable_mask(train, masks):
    for path in masks.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:80])
    assert "cannot be read as an image" in train("coop+dapt", "--masks-from", f"folder:{masks}")


def test_class_name_too_long(train, tmp_path):
    root = write_images(tmp_path / "p", each=4)
    (root / "cat").rename(root / ("x_" * 80 + "cat"))
    for method in ("coop", "maple", "zeroshot"):
        result = train(method, data=f"folder:{root}")
        assert "tokens, but 'tiny' accepts 77; shorten the class name or n_ctx" in result
    assert "accepts 77" in train("coop", "--n-ctx", 90, "--words", "")


def test_depth_beyond_the_backbone(train):
    assert "depth=30 is more than the 6 layers of backbone 'tiny'" in train("maple", "--depth", 30)


def test_settings_that_exclude_each_other_are_refused(train):
    assert "cached_views needs a text-only method" in train("maple", "--cached-views", 2)


@pytest.mark.parametrize("method", ["coop", "zeroshot", "maple+dapt"])
@pytest.mark.parametrize("more", [(), ("--tensorboard",)])
def test_read_only_output(refused, photos, tmp_path, method, more):
    (tmp_path / "file").write_text("in the way")
    result = refused("train", method, "--data", f"folder:{photos}", *BRIEFLY, "--out", tmp_path / "file" / "run", *more)
    assert re.search(r"cannot write to .*/file/run: not a directory; choose another folder with --out$", result)
    assert (tmp_path / "file").read_text() == "in the way"


def test_masks_that_cover_every_image_are_refused(train, masks):
    for path in masks.rglob("*.png"):
        Image.new("L", (64, 64), 2).save(path)
    result = train("coop+dapt", "--masks-from", f"folder:{masks}")
    assert "none of the 6 masks has any background" in result
