"""Masks from files: where they are looked for, how their values are read, and what is wrong with some."""

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune.data.pictures import read_picture
from cliptune.errors import UserError
from cliptune.masks.folder import FolderMasks, binarise
from cliptune.types import Example, Picture

PICTURE = Picture(torch.zeros(3, 4, 6, dtype=torch.uint8))


def save(path, values, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, dtype=np.uint8)).convert("L")
    if mode == "P":
        image = image.copy()
        image.putpalette([v for i in range(256) for v in (i, 255 - i, 7)])
    elif mode != "L":
        image = image.convert(mode)
    image.save(path)
    return path


def grid(*values):
    """4 rows of 6 pixels that hold `values` in turn."""
    return np.resize(np.asarray(values, dtype=np.uint8), (4, 6))


@pytest.mark.parametrize(
    "raw, paper, release",
    [
        ([0, 1], [0, 1], [0, 1]),
        ([0, 255], [0, 1], [0, 0]),
        ([0, 0], [0, 0], [0, 0]),
        ([0, 51, 102, 255], [0, 0.2, 0.4, 1], [0, 1, 1, 0]),
        ([0, 1, 7, 20, 255], [0, 1 / 255, 7 / 255, 20 / 255, 1], [0, 1, 1, 1, 0]),
        ([254], [254 / 255], [1]),
    ],
)
def test_values(raw, paper, release):
    raw = torch.tensor(raw, dtype=torch.uint8)
    assert binarise(raw).tolist() == pytest.approx(paper)
    assert binarise(raw, "release").tolist() == release
    assert binarise(raw, index=True).tolist() == release, "an index mask: 255 is void, all else a label"
    assert binarise(raw).dtype == torch.float32


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1"])
def test_a_black_and_white_mask_of_any_mode(tmp_path, mode):
    save(tmp_path / "a.png", grid(0, 255, 255), mode)
    mask = FolderMasks(tmp_path).mask(Example("a.png", 0), PICTURE)
    assert mask.dtype == torch.uint8 and mask[0].equal(torch.from_numpy(grid(0, 255, 255)))


def test_zeros_and_ones_are_scaled_and_grey_is_kept(tmp_path):
    save(tmp_path / "a.png", grid(0, 1)), save(tmp_path / "b.png", grid(0, 100, 255))
    masks = FolderMasks(tmp_path)
    assert masks.mask(Example("a.png", 0), PICTURE)[0].equal(torch.from_numpy(grid(0, 255)))
    assert masks.mask(Example("b.png", 0), PICTURE)[0].equal(torch.from_numpy(grid(0, 100, 255)))


def test_a_palette_mask_holds_labels(tmp_path):
    save(tmp_path / "a.png", grid(0, 15, 255), "P")
    mask = FolderMasks(tmp_path).mask(Example("a.png", 0), PICTURE)
    assert mask[0].equal(torch.from_numpy(grid(0, 255, 0)))


def test_the_release_reads_white_as_void(tmp_path):
    save(tmp_path / "a.png", grid(0, 1, 9, 255))
    mask = FolderMasks(tmp_path, "release").mask(Example("a.png", 0), PICTURE)
    assert mask[0].equal(torch.from_numpy(grid(0, 255, 255, 0)))


@pytest.mark.parametrize(
    "place",
    [
        "train/cat/x.jpg",
        "train/cat/x.png",
        "cat/x.jpg",
        "cat/x.png",
        "x.jpg",
        "x.png",
    ],
)
def test_where_a_mask_may_lie(tmp_path, place):
    masks, example = FolderMasks(tmp_path), Example("train/cat/x.jpg", 0)
    assert masks.find(example) is None
    save(tmp_path / "other" / "x.png", grid(0)), save(tmp_path / "cat" / "y.png", grid(0))
    assert masks.find(example) is None
    wanted = save(tmp_path / place, grid(1))
    assert masks.find(example) == wanted
    masks.check([example])


def test_the_most_specific_place_comes_first(tmp_path):
    places = [save(tmp_path / p, grid(0)) for p in ("train/cat/x.jpg", "train/cat/x.png", "cat/x.jpg", "x.jpg")]
    masks = FolderMasks(tmp_path)
    for place in places:
        assert masks.find(Example("train/cat/x.jpg", 0)) == place
        place.unlink()


def test_missing_masks_are_counted_before_training(tmp_path):
    save(tmp_path / "cat" / "1.png", grid(1))
    examples = [Example(f"cat/{i}.jpg", 0) for i in range(3)]
    with pytest.raises(UserError, match=rf"^2 of 3 pictures have no mask under {tmp_path}, first cat/0\.jpg; add them"):
        FolderMasks(tmp_path).check(examples)
    with pytest.raises(UserError, match=r"no mask for cat/2\.jpg"):
        FolderMasks(tmp_path).mask(examples[2], PICTURE)


def test_a_mask_of_another_size(tmp_path):
    save(tmp_path / "a.png", np.zeros((6, 4)))
    with pytest.raises(
        UserError, match=r"a\.png is 4x6 but its picture is 6x4 pixels; make masks at the pictures' size"
    ):
        FolderMasks(tmp_path).mask(Example("a.png", 0), PICTURE)


def test_a_mask_is_compared_with_the_picture_as_its_exif_turns_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "a.jpg"
    Image.new("RGB", (8, 4)).save(path, exif=exif)
    example, picture = Example("a.jpg", 0, path), read_picture(path)
    assert picture.image.shape == (3, 8, 4)
    save(tmp_path / "masks" / "a.png", np.full((8, 4), 255))
    masks = FolderMasks(tmp_path / "masks")
    masks.check([example])
    assert masks.mask(example, picture).shape == (1, 8, 4)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_an_unreadable_mask(tmp_path, content):
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (4, 6)))
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    with pytest.raises(UserError, match=r"mask .*a\.png cannot be read as an image; make it again"):
        FolderMasks(tmp_path).mask(Example("a.png", 0), PICTURE)


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match=f"no mask folder at {tmp_path}/maks; check the path"):
        FolderMasks(tmp_path / "maks")
