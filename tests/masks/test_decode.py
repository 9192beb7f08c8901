"""Mask files with label values: more than eight bits, void, floats, colours, and masks of published datasets."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cliptune.errors import UserError
from cliptune.masks.decode import read_mask
from cliptune.masks.pixel_encoding import PixelEncoding

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
ROUND = ((np.mgrid[:60, :90] - np.array([30, 45])[:, None, None]) ** 2 / np.array([400, 900])[:, None, None]).sum(0) < 1


def coded(image, tmp_path, suffix="png"):
    image.save(tmp_path / f"a.{suffix}")
    return read_mask(tmp_path / f"a.{suffix}")


def is_round(mask) -> bool:
    return bool((mask[0].numpy() == ROUND * 255).all())


@pytest.mark.parametrize("kind, suffix", [(np.uint16, "png"), (np.int32, "tif"), (np.float32, "tif")])
def test_more_than_255_labels(tmp_path, kind, suffix):
    """A quarter of the image is objects 1 to 600."""
    ids = np.zeros((60, 90), kind)
    ids[:30, :45] = np.arange(1350).reshape(30, 45) % 600 + 1
    mask, remark = coded(Image.fromarray(ids), tmp_path, suffix)
    assert mask.float().mean() == 255 / 4 and "contains 600 values up to 600, read as labels" in remark


def test_more_than_255_labels_written_as_colours(tmp_path):
    ids = np.kron(np.arange(1, 301).reshape(15, 20), np.ones((4, 30), int))
    coloured = np.stack([ids % 256, ids // 256, ids * 0], -1).astype(np.uint8)
    mask, _ = coded(Image.fromarray(np.concatenate([coloured, coloured * 0])), tmp_path)
    assert mask[:, : len(ids)].min() == 255 and not mask[:, len(ids) :].any()


def test_void_in_signed_integers_and_colours(tmp_path):
    numbers = np.where(ROUND, 3, 0).astype(np.int32)
    numbers[:5] = -1
    assert is_round(coded(Image.fromarray(numbers), tmp_path, "tif")[0])
    drawn = np.where(ROUND[..., None], (128, 0, 0), (0, 0, 0)).astype(np.uint8)
    drawn[:5] = (224, 224, 192)
    assert is_round(coded(Image.fromarray(drawn), tmp_path)[0])


@pytest.mark.parametrize(
    "value, message",
    [(np.nan, "negative or non-finite"), (-0.5, "negative or non-finite"), (300.5, "fractions up to 300")],
)
def test_floats_that_are_not_a_mask(tmp_path, value, message):
    values = ROUND.astype(np.float32)
    values[0, 0] = value
    with pytest.raises(UserError, match=rf"mask .*a\.tif contains .*{message}"):
        coded(Image.fromarray(values), tmp_path, "tif")


@pytest.mark.parametrize("level", [1, 100.25, 255])
def test_levels_in_floats(tmp_path, level):
    assert is_round(coded(Image.fromarray((ROUND * level).astype(np.float32)), tmp_path, "tif")[0])


needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="needs shared/data/real: pets and CamVid")


@needs_real
def test_masks_of_published_datasets():
    def share(folder: str, values: PixelEncoding) -> float:
        masks = [read_mask(path, encoding=values)[0] for path in sorted((REAL / folder).rglob("*.png"))]
        return sum(float(mask.float().mean()) / 255 for mask in masks) / len(masks)

    assert 0.2 < share("pets26/label", PixelEncoding()) < 0.6
    assert 0 < share("camvid8/trainannot", PixelEncoding("labels", 11, (8, 9))) < 0.2
