"""Backgrounds: every name can be painted, reproducibly for a seed; an unknown name is refused."""

import numpy as np
import pytest
import torch

from cliptune.data.emoji.background import BACKGROUND_NAMES, keyed_generator, paint_background
from cliptune.errors import UserError

STREAM = [0.815154, 0.298964, 0.027791]
RECORDED = np.array(
    [
        [111.5, 172.0, 237.1],  # sky
        [177.5, 194.9, 229.5],  # cloud
        [176.3, 102.7, 97.7],  # sunset
        [25.9, 25.8, 59.6],  # night sky
        [77.9, 140.9, 47.0],  # grass
        [238.0, 208.7, 157.9],  # sand
        [220.6, 229.4, 244.3],  # snow
        [78.7, 183.8, 203.4],  # water
        [55.2, 99.6, 148.9],  # sea
        [131.9, 170.2, 186.5],  # lake
        [67.6, 89.0, 45.6],  # forest
        [147.6, 162.9, 172.0],  # mountain
        [90.6, 97.6, 97.6],  # rock
        [156.1, 92.0, 73.0],  # brick wall
        [145.4, 103.1, 59.1],  # wood
        [144.9, 128.5, 110.5],  # building
        [140.7, 150.4, 163.2],  # city
        [130.5, 141.2, 131.4],  # road
        [155.0, 150.6, 142.6],  # street
        [136.7, 141.7, 129.5],  # railway
        [149.7, 164.3, 184.6],  # bridge
        [210.7, 210.2, 213.0],  # keyboard
        [137.8, 153.4, 166.7],  # house
        [116.8, 147.6, 121.3],  # fabric
    ]
)


def test_there_are_24_names():
    assert len(BACKGROUND_NAMES) == len(set(BACKGROUND_NAMES)) == 24


@pytest.mark.parametrize("name", BACKGROUND_NAMES)
@pytest.mark.parametrize("size", [24, 96])
def test_a_background_has_the_requested_size_and_is_not_flat(name, size):
    image = paint_background(name, 7, size)
    assert image.shape == (3, size, size) and image.dtype == torch.uint8
    assert image.float().std() > 3


@pytest.mark.parametrize("name", BACKGROUND_NAMES)
def test_a_background_depends_on_the_seed_only(name):
    first = paint_background(name, 1, 48).clone()
    paint_background.cache_clear()
    assert torch.equal(first, paint_background(name, 1, 48))
    assert not torch.equal(first, paint_background(name, 2, 48))


def test_backgrounds_are_cached():
    assert paint_background("grass", 3) is paint_background("grass", 3)


def test_mean_colours_equal_the_recorded_ones():
    """Mean colours of one canvas of each name, as recorded; a tolerance of one level for other numpy versions."""
    means = np.array([paint_background(name, 0).float().mean((1, 2)).tolist() for name in BACKGROUND_NAMES])
    assert np.abs(means - RECORDED).max() < 1


def test_streams_depend_on_every_part_of_the_key():
    draws = {tuple(keyed_generator(*key).random(3)) for key in (("a", 1), ("a", 2), ("b", 1), ("a", 1, 0), ("a1",))}
    assert len(draws) == 5


def test_random_streams_equal_the_recorded_ones():
    assert keyed_generator("cliptune", 0).random(3).tolist() == pytest.approx(STREAM, abs=1e-6)


def test_an_unknown_name_is_a_user_error():
    with pytest.raises(UserError, match="no background is called 'moon': choose one of sky, cloud"):
        paint_background("moon", 0)
