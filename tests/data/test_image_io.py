"""Image files of every common format are read; a broken one is named."""

from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from cliptune.data import image_io
from cliptune.data.image_io import IMAGE_SUFFIXES, from_pil, read_image
from cliptune.types import DecodedImage
from noise_images import colour_tensor

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "photos" / "imagenet_sample"
RAMP = np.linspace(0, 255, 12 * 10).astype(np.uint8).reshape(10, 12)
RGB = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)


def stored(tmp_path, image: Image.Image, suffix=".png", **more) -> DecodedImage:
    image.save(tmp_path / f"image{suffix}", **more)
    return read_image(tmp_path / f"image{suffix}")


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES - image_io.HEIC_SUFFIXES))
def test_every_suffix(tmp_path, suffix):
    image = stored(tmp_path, colour_tensor(), suffix)
    assert image.image.shape == (3, 10, 12) and image.image.dtype == torch.uint8 and image.mask is None
    assert (image.image.float() - pil_to_tensor(colour_tensor()).float()).abs().mean() < 40


def test_grey_and_bilevel(tmp_path):
    grey = stored(tmp_path, Image.fromarray(RAMP))
    assert grey.image.equal(torch.from_numpy(RAMP).expand(3, -1, -1)) and grey.mask is None
    assert set(stored(tmp_path, Image.fromarray(RAMP > 99)).image.unique().tolist()) == {0, 255}


def test_cmyk(tmp_path):
    image = stored(tmp_path, colour_tensor().convert("CMYK"), ".jpg", quality=100, subsampling=0)
    assert (image.image.float() - pil_to_tensor(colour_tensor()).float()).abs().mean() < 6


def test_palette_with_and_without_transparency(tmp_path):
    palette = colour_tensor().quantize(16)
    assert stored(tmp_path, palette).mask is None
    image = stored(tmp_path, palette, transparency=3)
    hidden = torch.from_numpy(np.asarray(palette) == 3)
    assert image.mask is not None and image.mask[0].equal((~hidden * 255).to(torch.uint8))


def test_alpha_is_the_mask(tmp_path):
    alpha = Image.fromarray(RAMP)
    for mode in ("RGB", "L"):
        image = colour_tensor().convert(mode)
        image.putalpha(alpha)
        decoded = stored(tmp_path, image)
        assert decoded.mask is not None and decoded.mask.equal(torch.from_numpy(RAMP)[None])
        shown = (
            np.asarray(colour_tensor().convert(mode).convert("RGB")) * (RAMP / 255)[..., None] + 255 - RAMP[..., None]
        )
        off = decoded.image.permute(1, 2, 0).numpy() - shown
        assert abs(off).max() <= 1, "on white, as viewers show it"


def test_colours_of_transparent_pixels_do_not_matter(tmp_path):
    hidden, other = (Image.merge("RGBA", [Image.new("L", (4, 4), c) for c in (r, 9, 9, 0)]) for r in (200, 30))
    for image in (hidden, other):
        image.paste((10, 20, 30, 255), (0, 0, 2, 4))
    kinds = {".png": {}, ".webp": {"lossless": True, "exact": True}, ".tif": {}}
    read = [stored(tmp_path, image, suffix, **more) for image in (hidden, other) for suffix, more in kinds.items()]
    read += [from_pil(hidden), from_pil(other.convert("RGBa"))]
    for decoded in read:
        assert decoded.image.equal(read[0].image) and decoded.mask is not None
        assert decoded.image[:, 0, 0].tolist() == [10, 20, 30] and decoded.image[:, 0, 3].tolist() == [255] * 3


def test_an_opaque_alpha_channel_is_no_mask(tmp_path):
    image = colour_tensor()
    image.putalpha(255)
    assert stored(tmp_path, image).mask is None


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotates_image_and_mask(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = colour_tensor()
    turned.putalpha(Image.fromarray(RAMP))
    image = stored(tmp_path, turned, suffix, exif=exif, lossless=True, exact=True)
    transpose = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    expected = turned if transpose is None else turned.transpose(transpose)
    page = Image.new("RGBA", expected.size, "white")
    page.alpha_composite(expected)
    assert image.image.equal(pil_to_tensor(page.convert("RGB")))
    assert image.mask is not None and image.mask.equal(pil_to_tensor(expected.getchannel("A")))


def test_an_animated_image_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    image = stored(tmp_path, frames[0], ".gif", save_all=True, append_images=frames[1:])
    assert image.image[:, 0, 0].tolist() == [255, 0, 0]


def test_inverted_cmyk_of_adobe(tmp_path):
    image = stored(tmp_path, colour_tensor().convert("CMYK"), ".jpg", quality=100, subsampling=0)
    content = (tmp_path / "image.jpg").read_bytes()
    assert b"Adobe" in content, "the marker of inverted values"
    assert (image.image.float() - pil_to_tensor(colour_tensor()).float()).abs().mean() < 6


def test_lab(tmp_path):
    lab = Image.merge("LAB", [Image.new("L", (4, 4), v) for v in (136, 208, 195)])  # pure red, about
    red, green, blue = stored(tmp_path, lab, ".tif").image[:, 0, 0].tolist()
    assert red > 240 and green < 25 and blue < 25


@pytest.mark.parametrize("compression, tolerance", [("jpeg", 6), ("raw", 2)])
def test_ycbcr(tmp_path, compression, tolerance):
    if compression == "raw" and int(PIL.__version__.partition(".")[0]) < 13:
        pytest.skip("Pillow 12 cannot read such a file, not even its own")
    image = stored(tmp_path, colour_tensor().convert("YCbCr"), ".tif", compression=compression)
    assert (image.image.float() - pil_to_tensor(colour_tensor()).float()).abs().mean() < tolerance


@pytest.mark.parametrize("mode, suffix", [("1", ".png"), ("L", ".jpg"), ("LA", ".png"), ("P", ".gif")])
def test_every_mode_gives_three_channels(tmp_path, mode, suffix):
    image = stored(tmp_path, colour_tensor().convert("LA" if mode == "LA" else mode), suffix)
    assert image.image.shape == (3, 10, 12) and image.image.float().std() > 10 and image.mask is None


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_suffix_may_be_wrong(tmp_path, kind):
    colour_tensor().save(tmp_path / "cat.jpg", kind)
    assert read_image(tmp_path / "cat.jpg").image.shape == (3, 10, 12)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}, {"optimize": True}]
)
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (64, 48), (333, 201)])
def test_plain_jpegs_equal_pillows(tmp_path, size, options):
    colour_tensor().resize(size).save(tmp_path / "cat.jpg", **options)
    with Image.open(tmp_path / "cat.jpg") as image:
        assert read_image(tmp_path / "cat.jpg").image.equal(pil_to_tensor(image))


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no photographs in ../shared/data")
def test_photographs_equal_pillows():
    for path in sorted(SAMPLE.iterdir()):
        with Image.open(path) as image:
            assert read_image(path).image.equal(pil_to_tensor(image.convert("RGB"))), path.name
