"""Saliency overlays and mask outlines."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune.report.overlay import heatmap_bytes, image_bytes
from cliptune.report.report_data import Panel, Prediction

GREY = np.full((3, 64, 64), 128, np.uint8)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def test_the_longer_side_has_the_requested_size():
    assert pixels(image_bytes(np.zeros((3, 20, 40), np.uint8), side=100)).shape == (50, 100, 3)


def test_an_image_without_mask_is_only_enlarged():
    assert (pixels(image_bytes(GREY)) == 128).all()


def test_the_outline_runs_along_the_border_only():
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[:, 16:48, 16:48] = 255
    row = pixels(image_bytes(GREY, mask, side=256))[128, :, 0]
    assert row[62:67].max() > 240 and row[189:194].max() > 240
    assert row[58:72].min() < 100  # the dark rim
    assert (row[80:176] == 128).all() and (row[:50] == 128).all()


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_without_border_has_no_outline(value):
    assert (pixels(image_bytes(GREY, np.full((1, 64, 64), value, np.uint8))) == 128).all()


def test_saliency_is_shown_in_warm_colours():
    saliency = np.zeros((4, 4))
    saliency[0, 0] = 1
    image = pixels(heatmap_bytes(GREY, saliency, side=128))
    hot, cold = image[8, 8], image[100, 100]
    assert hot[0] - hot[2] > 80  # warm
    assert abs(cold - 128).max() < 60


def test_tensors_and_arrays_give_the_same_image():
    image, mask, saliency = (
        torch.arange(3 * 64 * 64).reshape(3, 64, 64).to(torch.uint8),
        torch.zeros(1, 64, 64),
        torch.rand(8, 8),
    )
    mask = mask.to(torch.uint8).index_fill_(2, torch.arange(30), 255)
    assert heatmap_bytes(image, saliency, mask) == heatmap_bytes(image.numpy(), saliency.numpy(), mask.numpy())


@pytest.mark.parametrize(
    "image, mask, message",
    [
        (np.zeros((64, 64, 3), np.uint8), None, r"image must be uint8 \(3, H, W\)"),
        (np.zeros((3, 64, 64)), None, "image must be uint8"),
        (GREY, np.zeros((64, 64), np.uint8), r"mask must be \(1, H, W\)"),
    ],
)
def test_a_panel_of_other_shapes_is_refused(image, mask, message):
    with pytest.raises(ValueError, match=message):
        Panel("", "", image, mask, ())


def test_an_invalid_prediction_is_refused():
    with pytest.raises(ValueError, match="probability"):
        Prediction("coop", "cat", 25.0, True)
    with pytest.raises(ValueError, match="saliency"):
        Prediction("coop", "cat", 0.25, True, np.zeros((1, 8, 8)))
