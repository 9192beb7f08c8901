"""Mask folders: lookup paths, pixel values, and faults."""

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune.data.image_io import read_image
from cliptune.errors import UserError
from cliptune.masks.folder import FolderMasks
from cliptune.masks.pixel_encoding import PixelEncoding
from cliptune.types import DecodedImage, Example

IMAGE = DecodedImage(torch.zeros(3, 4, 6, dtype=torch.uint8))


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
    """4 rows of 6 pixels that repeat `values`."""
    return np.resize(np.asarray(values, dtype=np.uint8), (4, 6))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1"])
def test_a_black_and_white_mask_of_any_mode(tmp_path, mode):
    save(tmp_path / "a.png", grid(0, 255, 255), mode)
    mask = FolderMasks(tmp_path).mask(Example("a.png", 0), IMAGE)
    assert mask.dtype == torch.uint8 and mask[0].equal(torch.from_numpy(grid(0, 255, 255)))


def test_zeros_and_ones_are_scaled_and_grey_is_unchanged(tmp_path):
    save(tmp_path / "a.png", grid(0, 1)), save(tmp_path / "b.png", grid(*range(0, 255, 11)))
    masks = FolderMasks(tmp_path)
    assert masks.mask(Example("a.png", 0), IMAGE)[0].equal(torch.from_numpy(grid(0, 255)))
    assert masks.mask(Example("b.png", 0), IMAGE)[0].equal(torch.from_numpy(grid(*range(0, 255, 11))))


def test_a_palette_mask_contains_labels(tmp_path):
    save(tmp_path / "a.png", grid(0, 15, 255), "P")
    mask = FolderMasks(tmp_path).mask(Example("a.png", 0), IMAGE)
    assert mask[0].equal(torch.from_numpy(grid(0, 255, 0)))


def test_the_release_encoding_reads_white_as_void(tmp_path):
    save(tmp_path / "a.png", grid(0, 1, 9, 255))
    mask = FolderMasks(tmp_path, PixelEncoding("release")).mask(Example("a.png", 0), IMAGE)
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
def test_mask_lookup_paths(tmp_path, place):
    masks, example = FolderMasks(tmp_path), Example("train/cat/x.jpg", 0)
    assert masks.find(example) is None
    save(tmp_path / "other" / "x.png", grid(0)), save(tmp_path / "cat" / "y.png", grid(0))
    assert masks.find(example) is None
    expected = save(tmp_path / place, grid(1))
    assert masks.find(example) == expected
    masks.check([example])


def test_the_most_specific_path_takes_precedence(tmp_path):
    places = [save(tmp_path / p, grid(0)) for p in ("train/cat/x.jpg", "train/cat/x.png", "cat/x.jpg", "x.jpg")]
    masks = FolderMasks(tmp_path)
    for place in places:
        assert masks.find(Example("train/cat/x.jpg", 0)) == place
        place.unlink()


def test_faults_are_counted_before_training(tmp_path):
    save(tmp_path / "m" / "cat" / "1.png", grid(1)), save(tmp_path / "m" / "cat" / "2.png", np.zeros((9, 9)))
    save(tmp_path / "m" / "cat" / "3.png", grid(1)).write_bytes(b"no image")
    save(tmp_path / "m" / "7.png", grid(1))
    keys = [f"cat/{i}.jpg" for i in range(4)] + ["cat/7.jpg", "dog/7.jpg"]
    examples = [Example(key, 0, save(tmp_path / "photos" / key, grid(1))) for key in keys]
    masks = FolderMasks(tmp_path / "m")
    assert {f.key: f.kind for f in masks.find_problems(examples)} == {
        "cat/0.jpg": "missing",
        "cat/2.jpg": "wrong shape",
        "cat/3.jpg": "unreadable",
        "dog/7.jpg": "shared",
    }
    counts = "1 missing, 1 wrong shape, 1 unreadable, 1 shared"
    with pytest.raises(UserError, match=rf"^masks of 4 of 6 images cannot be used \({counts}\): cat/0\.jpg has no"):
        masks.check(examples)
    with pytest.raises(UserError, match=r"no mask for cat/0\.jpg"):
        masks.mask(examples[0], IMAGE)
    masks.check([examples[1], examples[4]])


@pytest.mark.parametrize("rows, columns", [(4, 6), (8, 12), (2, 3), (40, 61)])
def test_a_mask_of_the_same_shape_is_resized(tmp_path, rows, columns):
    values = np.zeros((rows, columns))
    values[:, columns // 2 :] = 255
    save(tmp_path / "a.png", values)
    mask = FolderMasks(tmp_path).mask(Example("a.png", 0), IMAGE)
    assert mask.shape == (1, 4, 6) and set(mask.unique().tolist()) == {0, 255}
    assert (mask[0, :, :2] == 0).all() and (mask[0, :, 4:] == 255).all()


def test_a_mask_of_another_aspect_ratio_is_refused(tmp_path):
    save(tmp_path / "a.png", np.zeros((6, 4)))
    with pytest.raises(UserError, match=r"a\.png is 4x6 but its image is 6x4 pixels, of another shape; make the mask"):
        FolderMasks(tmp_path).mask(Example("a.png", 0), IMAGE)


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_a_mask_without_exif_is_rotated_like_its_image(tmp_path, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    pixels = np.zeros((40, 80), np.uint8)
    pixels[:10, :30] = 255  # bright inside the mask
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "a.jpg"
    Image.fromarray(pixels).convert("RGB").save(path, exif=exif, quality=100, subsampling=0)
    save(tmp_path / "masks" / "a.png", pixels)
    example, image, masks = Example("a.jpg", 0, path), read_image(path), FolderMasks(tmp_path / "masks")
    assert image.image.shape == (3, 80, 40)
    masks.check([example])
    with pytest.warns(UserWarning, match=r"a\.png was made before its image's EXIF"):
        mask = masks.mask(example, image)
    assert ((mask > 127) == (image.image[:1] > 127)).float().mean() > 0.99
    assert masks.mask(example, image).equal(mask), "without a second warning"


def test_a_mask_is_compared_with_the_exif_rotated_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "a.jpg"
    Image.new("RGB", (8, 4)).save(path, exif=exif)
    example, image = Example("a.jpg", 0, path), read_image(path)
    assert image.image.shape == (3, 8, 4)
    save(tmp_path / "masks" / "a.png", np.full((8, 4), 255))
    masks = FolderMasks(tmp_path / "masks")
    masks.check([example])
    assert masks.mask(example, image).shape == (1, 8, 4)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_an_unreadable_mask_is_refused(tmp_path, content):
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (4, 6)))
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    with pytest.raises(UserError, match=r"mask .*a\.png cannot be read as an image; make it again"):
        FolderMasks(tmp_path).mask(Example("a.png", 0), IMAGE)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"no mask folder at {tmp_path}/maks; check the path"):
        FolderMasks(tmp_path / "maks")


def test_a_full_size_mask_fits_a_shrunk_image(tmp_path):
    (tmp_path / "masks").mkdir()
    mask = Image.new("L", (4000, 3000))
    mask.paste(255, (2000, 0, 4000, 3000))
    mask.save(tmp_path / "masks" / "cat.png")
    read = FolderMasks(tmp_path / "masks").mask(
        Example("cat.jpg", 0), DecodedImage(torch.zeros(3, 64, 85, dtype=torch.uint8))
    )
    assert read.shape == (1, 64, 85) and read[..., :42].max() == 0 and read[..., 43:].min() == 255
