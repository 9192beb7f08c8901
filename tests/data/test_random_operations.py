"""RandAugment: each operation against Pillow, the mask's moves, and streams of random numbers."""

import math

import pytest
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

import tiny_clips
from cliptune.data.items import workers_for
from cliptune.data.loader import ExampleSet
from cliptune.data.random_operations import COLOUR_OPERATIONS, MOVES, apply_random_operations
from cliptune.data.transforms import PRESETS
from cliptune.masks import get as mask_source
from cliptune.types import DecodedImage
from noise_images import noise_image, seeded_generator
from tiny_tasks import task

INVERT, COUNT, POINT = 2, 16, 30.0


class Chosen:
    """A generator whose draws are chosen: the operations, then a positive or negative sign, or the point `POINT`."""

    def __init__(self, *operations, positive=True):
        self.operations, self.positive = operations, positive

    def integers(self, high, size):
        assert (high, size) == (COUNT, 2)
        return self.operations

    def random(self):
        return 0.2 if self.positive else 0.8

    def uniform(self, low, high):
        return POINT


def moved(image, *matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def solarized_sum(image):
    return ImageOps.solarize(image.point(lambda v: min(255, int(v + 110 / 3))), 128)


def cut_out(image):
    side = 40 / 3 * image.width / 224
    corner = int(max(0, POINT - side / 2))
    image = image.copy()
    ImageDraw.Draw(image).rectangle((corner, corner, corner + side, corner + side), (125, 123, 114))
    return image


def references(size, sign):
    """The operations written with Pillow alone; moves in the direction that `F.affine` calls positive."""
    shear, shift = sign * 0.1, sign * 100 / 3 * size / 224
    return [
        ImageOps.autocontrast,
        ImageOps.equalize,
        ImageOps.invert,
        lambda i: ImageOps.posterize(i, 5),
        lambda i: ImageOps.solarize(i, 256 / 3),
        solarized_sum,
        *(lambda i, kind=kind: kind(i).enhance(0.7) for kind in (ImageEnhance.Color, ImageEnhance.Contrast)),
        *(lambda i, kind=kind: kind(i).enhance(0.7) for kind in (ImageEnhance.Brightness, ImageEnhance.Sharpness)),
        lambda i: i.rotate(-sign * 10),
        lambda i: moved(i, 1, shear, 0, 0, 1, 0),
        lambda i: moved(i, 1, 0, 0, shear, 1, 0),
        lambda i: moved(i, 1, 0, -shift, 0, 1, 0),
        lambda i: moved(i, 1, 0, 0, 0, 1, -shift),
        cut_out,
    ]


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("size", [224, 96])
@pytest.mark.parametrize("number", range(COUNT))
def test_each_operation_is_that_of_the_released_code(number, size, positive):
    noise = to_pil_image(noise_image(size, size)).resize((size, size), Image.Resampling.BICUBIC)
    reference = ImageOps.invert(references(size, 1 if positive else -1)[number](noise))
    view = apply_random_operations(DecodedImage(pil_to_tensor(noise)), Chosen(number, INVERT, positive=positive))
    apart = (view.image != pil_to_tensor(reference)).any(0).float().mean()
    assert apart <= (0.001 if number == len(COLOUR_OPERATIONS) else 0), "rotations may round at the edge of a pixel"


@pytest.mark.parametrize("number", range(COUNT))
def test_the_mask_moves_with_the_image(number):
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[:, 10:50, 20:40] = 255
    view = apply_random_operations(DecodedImage(mask.expand(3, -1, -1), mask), Chosen(number, number))
    if len(COLOUR_OPERATIONS) <= number < len(COLOUR_OPERATIONS) + len(MOVES):
        assert torch.equal(view.image[:1], view.mask) and not torch.equal(view.mask, mask)
    else:
        assert torch.equal(view.mask, mask)
    assert view.image.shape == (3, 64, 64) and view.mask.shape == (1, 64, 64)


def test_the_whole_image_is_squashed_without_a_crop():
    image = torch.zeros(3, 40, 100, dtype=torch.uint8)
    image[:, :, :50] = 200
    view = PRESETS["randaugment"]((32, 32), exact=True)
    both = {view(DecodedImage(image), seeded_generator(seed)).image.numpy().tobytes() for seed in range(60)}
    assert len(both) > 30 and view(DecodedImage(image), seeded_generator(0)).image.shape == (3, 32, 32)


def test_a_mask_changes_no_draw():
    image, mask = noise_image(48, 40), noise_image(48, 40)[:1]
    view = PRESETS["randaugment"](32)
    for seed in range(20):
        alone, both = (view(DecodedImage(image, m), seeded_generator(seed)).image for m in (None, mask))
        assert torch.equal(alone, both)


def test_all_operations_are_drawn_alike():
    draws = torch.tensor([seeded_generator(seed).integers(COUNT, size=2).tolist() for seed in range(800)])
    counts = draws.flatten().bincount(minlength=COUNT)
    assert (counts - 100).abs().max() < 4 * math.sqrt(100)


@pytest.mark.parametrize("second", [False, True])
def test_views_depend_on_seed_epoch_and_example_alone(second):
    toy, preprocess = task(), tiny_clips.backbone("deep_image").preprocess
    view = PRESETS["randaugment"](preprocess.size)
    examples = ExampleSet(toy.dataset, toy.train, preprocess, augment=view, seed=1, second_view=second)
    masks = mask_source("full", 0)

    def batches(epoch=0, workers=0):
        cpu = torch.device("cpu")
        return list(examples.epoch_batches(epoch, 4, cpu, masks=masks, workers=workers_for(workers, cpu)))

    for one, again in zip(batches(), batches(workers=1), strict=True):
        assert torch.equal(one.images, again.images) and torch.equal(one.masks, again.masks)
        if second:
            assert torch.equal(one.second_view, again.second_view)
            assert not torch.equal(one.images, one.second_view)
    assert not torch.equal(batches()[0].images, batches(1)[0].images)
