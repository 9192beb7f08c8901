"""The same object on other backgrounds: a red square on blue."""

import pytest
import torch

from cliptune.analysis.background_conditions import (
    CONDITIONS,
    GREY,
    apply_conditions,
    blur,
    composite,
    inpaint_background,
    resize_to_cover,
)

RED, BLUE, GREEN = ((torch.tensor(c, dtype=torch.uint8).view(3, 1, 1)) for c in ((255, 0, 0), (0, 0, 255), (0, 255, 0)))


def square(ground, side=24, object_=RED, wide=None):
    """A square of `object_` in the middle of `ground`, and its mask."""
    image = ground.expand(3, side, wide or side).clone()
    mask = torch.zeros(1, side, wide or side, dtype=torch.uint8)
    quarter = side // 4
    image[:, quarter:-quarter, quarter:-quarter] = object_
    mask[:, quarter:-quarter, quarter:-quarter] = 255
    return image, mask


def test_each_condition_keeps_the_object_and_changes_the_rest():
    image, mask = square(BLUE)
    made = apply_conditions(image, mask, *square(GREEN, 40, BLUE), (0.5, 0.25, 0.0))
    assert list(made) == list(CONDITIONS)
    inside, outside = mask[0] == 255, mask[0] == 0
    for name, scene in made.items():
        assert scene.dtype == torch.uint8 and scene.shape == image.shape
        if name != "background":
            assert (scene[:, inside] == RED[:, 0]).all(), name
    assert torch.equal(made["original"], image)
    assert (made["mean"][:, outside] == torch.tensor([128, 64, 0], dtype=torch.uint8)[:, None]).all()
    assert (made["grey"][:, outside] == GREY).all()
    assert (made["blurred"][:, outside] == BLUE[:, 0]).all(), "the object does not bleed into its background"
    assert (made["swapped"][:, outside] == GREEN[:, 0]).all(), "nor does the lender's object come along"
    assert (made["background"] == BLUE).all(), "nothing of the object is left"


def test_holes_are_filled_from_nearby_pixels():
    image = torch.cat([BLUE.expand(3, 32, 16), GREEN.expand(3, 32, 16)], 2).clone()
    mask = torch.zeros(1, 32, 32, dtype=torch.uint8)
    for left in (3, 25):
        image[:, 12:18, left : left + 4] = RED
        mask[:, 12:18, left : left + 4] = 255
    filled = inpaint_background(image, mask)
    assert filled[0].max() < 30
    assert (filled[2, 12:18, 4] > 200).all() and (filled[1, 12:18, 27] > 200).all()
    assert torch.equal(filled[:, :, 12:20], image[:, :, 12:20]), "what is known stays"


def test_a_rim_of_background_is_enough():
    image, mask = BLUE.expand(3, 16, 16).clone(), torch.full((1, 16, 16), 255, dtype=torch.uint8)
    image[:, 1:] = RED
    mask[:, :1] = 0
    assert inpaint_background(image, mask)[2].min() > 200


def test_soft_masks_blend():
    mask = torch.full((1, 2, 2), 51, dtype=torch.uint8)
    blend = composite(RED.expand(3, 2, 2), mask, BLUE.expand(3, 2, 2).float())
    assert blend[:, 0, 0].tolist() == [51, 0, 204]


@pytest.mark.parametrize("size", [(10, 30), (30, 10), (24, 24), (3, 100)])
def test_backgrounds_of_other_sizes_cover(size):
    assert resize_to_cover(square(GREEN, 16, GREEN)[0], *size).shape == (3, *size)
    image, mask = square(BLUE, 24, wide=31)
    made = apply_conditions(image, mask, GREEN.expand(3, *size), torch.zeros(1, *size, dtype=torch.uint8), (0, 0, 0))
    assert (made["swapped"][:, mask[0] == 0] == GREEN[:, 0]).all()


@pytest.mark.parametrize("size", [(64, 64), (64, 200), (301, 500)])
def test_the_rim_is_a_square_around_the_mask(size):
    mask = (torch.rand(1, *size, generator=torch.Generator().manual_seed(0)) > 0.995).to(torch.uint8) * 255
    image = torch.randint(256, (3, *size), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    reach = max(1, round(min(size) / 64))
    near = torch.nn.functional.max_pool2d(mask[None].float(), 2 * reach + 1, 1, reach)[0, 0] > 0
    changed = (inpaint_background(image, mask) != image).any(0)
    assert not (changed & ~near).any() and changed[near].float().mean() > 0.99


def test_images_larger_than_model_inputs():
    image, mask = square(BLUE, 600, wide=800)
    made = apply_conditions(image, mask, *square(GREEN, 600, BLUE), (0.5, 0.25, 0.0))
    for name, inside, outside in (("blurred", RED, BLUE), ("swapped", RED, GREEN), ("background", BLUE, BLUE)):
        assert made[name].shape == image.shape
        for place, colour in (((300, 400), inside), ((10, 10), outside)):
            assert made[name][:, *place].tolist() == colour.flatten().tolist(), name


def test_a_large_image_is_blurred_as_its_small_version():
    small = torch.randint(256, (3, 12, 16), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    large = small.repeat_interleave(40, 1).repeat_interleave(40, 2)
    once = blur(large[:, ::5, ::5]).repeat_interleave(5, 1).repeat_interleave(5, 2)
    assert (blur(large) - once).abs().mean() < 2
    assert (blur(large).std((1, 2)) < 0.4 * large.float().std((1, 2))).all()
