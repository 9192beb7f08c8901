"""Image and mask are transformed together; evaluation equals torchvision's pipeline exactly."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.transforms import PRESETS, RandomCropFlip, evaluation_view, shrink, squash, standardise
from cliptune.types import DecodedImage
from noise_images import noise_image, seeded_generator

#: Presets that do not change colours.
GEOMETRIC = [name for name in PRESETS if name != "randaugment"]


def blob(height, width):
    """A white blob on black and its mask: any view's image shows its mask."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    inside = (((x - 0.2) / 0.5) ** 2 + ((y + 0.1) / 0.7) ** 2 < 1) & ~((x > 0.3) & (y > 0))
    mask = (inside * 255).to(torch.uint8)[None]
    return DecodedImage(mask.expand(3, -1, -1).clone(), mask)


@pytest.mark.parametrize("size", [32, 63])
@pytest.mark.parametrize("height, width", [(64, 64), (100, 70), (50, 121), (20, 16), (33, 32), (224, 300)])
def test_evaluation_is_resize_centre_crop(height, width, size):
    image = to_pil_image(noise_image(height, width))
    reference = T.Compose([T.Resize(size, T.InterpolationMode.BICUBIC), T.CenterCrop(size)])
    assert torch.equal(evaluation_view(image, Preprocess((size, size))), pil_to_tensor(reference(image)))


def test_evaluation_of_an_image_of_the_models_size_is_the_image():
    assert torch.equal(evaluation_view(to_pil_image(noise_image(32, 32)), Preprocess((32, 32))), noise_image(32, 32))


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1"])
def test_evaluation_accepts_every_mode(mode):
    assert evaluation_view(Image.new(mode, (40, 30)), Preprocess((16, 16))).shape == (3, 16, 16)


def test_normalise_is_totensor_and_normalize():
    mean, std = (0.48, 0.45, 0.40), (0.26, 0.26, 0.27)
    image = noise_image(8, 8)
    reference = T.Normalize(mean, std)(T.ToTensor()(to_pil_image(image)))
    assert torch.allclose(standardise(image, mean, std), reference, atol=1e-6)
    assert torch.allclose(standardise(torch.stack([image, image]), mean, std)[1], reference, atol=1e-6)


def test_squeezing_keeps_the_whole_image():
    image = torch.zeros(3, 40, 100, dtype=torch.uint8)
    image[:, :, :10] = 255
    square = squash(image, Preprocess((50, 50)))
    assert square.shape == (3, 50, 50) and square.dtype == torch.uint8
    assert (square[:, :, :4] > 200).all() and (square[:, :, 7:] < 50).all()
    assert squash(noise_image(16, 16), Preprocess((16, 16))).equal(noise_image(16, 16))


@pytest.mark.parametrize("height, width", [(64, 64), (48, 90), (120, 70)])
def test_mask_and_image_are_cropped_and_flipped_together(height, width):
    augment, image = RandomCropFlip(48), blob(height, width)
    overlaps = []
    for seed in range(40):
        view = augment(image, seeded_generator(seed))
        assert view.image.shape == (3, 48, 48) and view.mask is not None and view.mask.shape == (1, 48, 48)
        assert set(view.mask.unique().tolist()) <= {0, 255}, "nearest: a mask stays binary"
        read, mask = view.image[:1] > 127, view.mask > 127
        # Both agree away from edges, which bicubic and nearest place within a pixel of each other.
        overlaps.append((read == mask).float().mean().item())
    assert min(overlaps) > 0.9 and sum(overlaps) / len(overlaps) > 0.96


def test_a_flip_mirrors_both():
    view = RandomCropFlip(64, scale=(1.0, 1.0), flip=1.0)(blob(64, 64), seeded_generator(0))
    assert torch.equal(view.image, blob(64, 64).image.flip(-1))
    assert torch.equal(view.mask, blob(64, 64).mask.flip(-1))


def test_without_augmentation_an_image_of_the_right_size_is_unchanged():
    image = DecodedImage(noise_image(64, 64), blob(64, 64).mask)
    view = RandomCropFlip(64, scale=(1.0, 1.0), flip=0.0)(image, seeded_generator(0))
    assert torch.equal(view.image, image.image) and torch.equal(view.mask, image.mask)


def test_a_mask_does_not_change_the_image():
    one = RandomCropFlip(32)(DecodedImage(noise_image(64, 80)), seeded_generator(3)).image
    other = RandomCropFlip(32)(DecodedImage(noise_image(64, 80), blob(64, 80).mask), seeded_generator(3)).image
    assert torch.equal(one, other)


def test_half_of_the_views_are_flipped():
    augment, image = RandomCropFlip(8, scale=(1.0, 1.0)), DecodedImage(noise_image(8, 8))
    turned = sum(torch.equal(augment(image, seeded_generator(s)).image, image.image.flip(-1)) for s in range(400))
    assert 160 < turned < 240


@pytest.mark.parametrize("height, width", [(64, 64), (300, 200)])
def test_boxes_follow_torchvisions_distribution(height, width):
    augment, rng = RandomCropFlip(32), seeded_generator(1)
    boxes = np.array([augment.box(height, width, rng) for _ in range(1500)], dtype=float)
    torch.manual_seed(0)
    image = torch.empty(1, height, width)
    theirs = np.array(
        [T.RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(1500)], dtype=float
    )
    for top, left, h, w in boxes:
        assert 0 <= top <= height - h and 0 <= left <= width - w and h > 0 and w > 0
        assert 0.7 < w / h < 1.45 and h * w <= height * width
    for ours, reference in zip(_marginals(boxes), _marginals(theirs), strict=True):
        spread = math.hypot(ours.std(), reference.std()) / math.sqrt(1500)
        assert abs(ours.mean() - reference.mean()) < 4 * spread


def _marginals(boxes):
    top, left, h, w = boxes.T
    return top, left, h, w, h * w, np.log(w / h)


@pytest.mark.parametrize("height, width", [(10, 400), (400, 10)])
def test_a_very_long_image_is_cropped_at_its_centre(height, width):
    top, left, h, w = RandomCropFlip(32, scale=(0.9, 1.0)).box(height, width, seeded_generator(0))
    assert (top, left) == ((height - h) // 2, (width - w) // 2)
    assert (h, w) == ((10, 13) if height < width else (13, 10))


@pytest.mark.parametrize("preset", GEOMETRIC)
@pytest.mark.parametrize("height, width", [(64, 64), (48, 90), (120, 70)])
def test_masks_follow_their_images(preset, height, width):
    for seed in range(20):
        view = PRESETS[preset](48)(blob(height, width), seeded_generator(seed))
        assert view.mask is not None and view.mask.shape == (1, 48, 48)
        assert set(view.mask.unique().tolist()) <= {0, 255}, "nearest: a mask stays binary"
        assert ((view.image[:1] > 127) == (view.mask > 127)).float().mean() > 0.9


@pytest.mark.parametrize("preset", GEOMETRIC)
def test_a_ramp_mask_shows_the_source_column_of_each_pixel(preset):
    """Nearest resampling of column numbers: they rise or, flipped, fall monotonically, one step per pixel."""
    ramp = torch.arange(200, dtype=torch.uint8).expand(1, 150, 200)
    for seed in range(10):
        row = PRESETS[preset](40)(DecodedImage(noise_image(150, 200), ramp), seeded_generator(seed)).mask[0, 0].int()
        steps = row.diff()
        assert (steps >= 0).all() or (steps <= 0).all()
        assert steps.abs().max() - steps.abs().min() <= (2 if preset != "coop-2021" else 200 / 40 + 1)


def test_shrinking_keeps_the_shape_and_never_enlarges():
    small = shrink(DecodedImage(noise_image(100, 150), blob(100, 150).mask), 50)
    assert small.image.shape == (3, 50, 75) and small.mask.shape == (1, 50, 75)
    same = DecodedImage(noise_image(100, 150))
    assert shrink(same, 0) is same and shrink(same, 100) is same
