"""PIL images, arrays and tensors of every kind as images and masks, and values that are neither."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from cliptune.data.conversion import to_image, to_mask
from cliptune.errors import UserError
from python_datasets import RGB


@pytest.mark.parametrize(
    "image",
    [
        to_pil_image(RGB),
        RGB,
        RGB.float() / 255,
        RGB.double() / 255,
        RGB.permute(1, 2, 0).numpy(),
        RGB.permute(1, 2, 0).numpy().astype(np.float32) / 255,
        torchvision.tv_tensors.Image(RGB),
    ],
)
def test_images_of_every_kind(image):
    decoded = to_image(image, "x")
    assert decoded.image.equal(RGB) and type(decoded.image) is torch.Tensor and decoded.mask is None


def test_grey_and_transparent_images():
    grey = RGB[:1]
    for image in (grey, grey[0], grey[0].numpy(), grey.permute(1, 2, 0).numpy(), to_pil_image(grey)):
        assert to_image(image, "x").image.equal(grey.expand(3, -1, -1))
    seen = to_image(torch.cat([RGB, RGB[:1]]), "x")
    shown = (RGB * (RGB[:1] / 255) + 255 - RGB[:1]).round()
    assert (seen.image - shown).abs().max() <= 1, "on white"
    assert seen.mask is not None and seen.mask.equal(RGB[:1])
    assert to_image(torch.cat([RGB, torch.full_like(RGB[:1], 255)]), "x").mask is None


@pytest.mark.parametrize(
    "image, reason",
    [
        (
            RGB.float() / 50 - 1,
            r"x has values from -1 to 0.18; floats are in \[0, 1\], so give images without Normalize",
        ),
        (RGB.float() * float("nan"), "values from nan to nan"),
        (RGB.long(), "x is of torch.int64; expected uint8, or float"),
        (RGB.permute(2, 1, 0), r"x has the shape \(5, 4, 3\); expected \(C, H, W\) with 1, 3 or 4 channels"),
        (RGB.numpy(), r"x has the shape \(3, 4, 5\); expected \(H, W, C\) with"),
        (RGB[None], r"x has the shape \(1, 3, 4, 5\); expected one image"),
        ("cat.jpg", "x is a str; expected a PIL image, a tensor or an array"),
    ],
)
def test_other_values_are_refused(image, reason):
    with pytest.raises(UserError, match=reason):
        to_image(image, "x")


def test_masks_of_every_kind():
    cut = torch.zeros(4, 5, dtype=torch.uint8)
    cut[1:3] = 1
    expected = cut[None] * 255
    for mask in (cut, cut[None], cut * 255, cut.bool(), cut.float(), cut.numpy(), to_pil_image(cut * 255)):
        assert to_mask(mask, "x").equal(expected)
    with pytest.raises(UserError, match="x has 3 channels; a mask has one"):
        to_mask(RGB, "x")


def test_pil_images_are_rotated_by_exif():
    image = Image.new("RGB", (4, 2))
    image.getexif()[0x0112] = 6
    assert to_image(image, "x").image.shape == (3, 4, 2)
    assert pil_to_tensor(image).shape == (3, 2, 4)
