"""Image and mask move together; evaluation is torchvision's pipeline to the last grey level."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from cliptune.data.transforms import PRESETS, Augment, Translate, evaluation, normalise, resized, shrunk, to_square
from cliptune.types import Picture


def noise(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8))


def blob(height, width):
    """A white blob on black and its mask: the mask of any view can be read off the view's image."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    inside = (((x - 0.2) / 0.5) ** 2 + ((y + 0.1) / 0.7) ** 2 < 1) & ~((x > 0.3) & (y > 0))
    mask = (inside * 255).to(torch.uint8)[None]
    return Picture(mask.expand(3, -1, -1).clone(), mask)


def generator(seed):
    return np.random.Generator(np.random.Philox(seed))


@pytest.mark.parametrize("size", [32, 63])
@pytest.mark.parametrize("height, width", [(64, 64), (100, 70), (50, 121), (20, 16), (33, 32), (224, 300)])
def test_evaluation_is_resize_centre_crop(height, width, size):
    picture = to_pil_image(noise(height, width))
    reference = T.Compose([T.Resize(size, T.InterpolationMode.BICUBIC), T.CenterCrop(size)])
    assert torch.equal(evaluation(picture, size), pil_to_tensor(reference(picture)))


def test_evaluation_of_a_picture_of_the_models_size_is_the_picture():
    assert torch.equal(evaluation(to_pil_image(noise(32, 32)), 32), noise(32, 32))


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1"])
def test_evaluation_takes_every_mode(mode):
    assert evaluation(Image.new(mode, (40, 30)), 16).shape == (3, 16, 16)


def test_normalise_is_totensor_and_normalize():
    mean, std = (0.48, 0.45, 0.40), (0.26, 0.26, 0.27)
    image = noise(8, 8)
    reference = T.Normalize(mean, std)(T.ToTensor()(to_pil_image(image)))
    assert torch.allclose(normalise(image, mean, std), reference, atol=1e-6)
    assert torch.allclose(normalise(torch.stack([image, image]), mean, std)[1], reference, atol=1e-6)


def test_to_square_keeps_everything_in_sight():
    image = torch.zeros(3, 40, 100, dtype=torch.uint8)
    image[:, :, :10] = 255
    square = to_square(image, 50)
    assert square.shape == (3, 50, 50) and square.dtype == torch.uint8
    assert (square[:, :, :4] > 200).all() and (square[:, :, 7:] < 50).all()
    assert to_square(noise(16, 16), 16).equal(noise(16, 16))


@pytest.mark.parametrize("height, width", [(64, 64), (48, 90), (120, 70)])
def test_mask_and_image_are_cut_and_turned_alike(height, width):
    augment, picture = Augment(48), blob(height, width)
    overlaps = []
    for seed in range(40):
        view = augment(picture, generator(seed))
        assert view.image.shape == (3, 48, 48) and view.mask is not None and view.mask.shape == (1, 48, 48)
        assert set(view.mask.unique().tolist()) <= {0, 255}, "nearest: a mask stays binary"
        read, mask = view.image[:1] > 127, view.mask > 127
        # Away from edges, which bicubic and nearest place within a pixel of each other, both agree.
        overlaps.append((read == mask).float().mean().item())
    assert min(overlaps) > 0.9 and sum(overlaps) / len(overlaps) > 0.96


def test_a_flip_turns_both():
    view = Augment(64, scale=(1.0, 1.0), flip=1.0)(blob(64, 64), generator(0))
    assert torch.equal(view.image, blob(64, 64).image.flip(-1))
    assert torch.equal(view.mask, blob(64, 64).mask.flip(-1))


def test_no_augmentation_leaves_a_picture_of_the_right_size_alone():
    picture = Picture(noise(64, 64), blob(64, 64).mask)
    view = Augment(64, scale=(1.0, 1.0), flip=0.0)(picture, generator(0))
    assert torch.equal(view.image, picture.image) and torch.equal(view.mask, picture.mask)


def test_whole_pictures_are_squeezed():
    view = Augment(32, scale=(1.0, 1.0), flip=0.0)(Picture(noise(50, 90)), generator(0))
    assert gap(view.image, to_pil_image(noise(50, 90)).resize((32, 32), CUBIC)).max() <= 1 and view.mask is None


def test_a_mask_changes_no_pixel():
    one = Augment(32)(Picture(noise(64, 80)), generator(3)).image
    other = Augment(32)(Picture(noise(64, 80), blob(64, 80).mask), generator(3)).image
    assert torch.equal(one, other)


def test_flips_come_half_of_the_time():
    augment, picture = Augment(8, scale=(1.0, 1.0)), Picture(noise(8, 8))
    turned = sum(torch.equal(augment(picture, generator(s)).image, picture.image.flip(-1)) for s in range(400))
    assert 160 < turned < 240


@pytest.mark.parametrize("height, width", [(64, 64), (300, 200)])
def test_boxes_follow_torchvisions_distribution(height, width):
    augment, rng = Augment(32), generator(1)
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
def test_a_very_long_picture_gives_its_centre(height, width):
    top, left, h, w = Augment(32, scale=(0.9, 1.0)).box(height, width, generator(0))
    assert (top, left) == ((height - h) // 2, (width - w) // 2)
    assert (h, w) == ((10, 13) if height < width else (13, 10))


CUBIC = Image.Resampling.BICUBIC
SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "photos" / "imagenet_sample"
SIZES = [(375, 500), (500, 333), (224, 224), (90, 300), (1200, 900)]


def photographs():
    """Real ones where there are any, else smooth noise of real sizes."""
    if SAMPLE.is_dir():
        return [Image.open(path).convert("RGB") for path in sorted(SAMPLE.iterdir())[:12]]
    return [to_pil_image(noise(12, 16, i)).resize(size[::-1], CUBIC) for i, size in enumerate(SIZES)]


def gap(view, reference):
    """Grey levels between ours and Pillow's."""
    return (view.int() - pil_to_tensor(reference).int()).abs()


#: Wide, tall, much smaller, larger, one way alone, and both sides of where Pillow 13 turns the order of ways round.
SHAPES = [
    (40, 300), (300, 40), (700, 600), (600, 700), (20, 30), (9, 5), (1, 1), (64, 200), (200, 64), (30, 200), (200, 30),
    (136, 100), (137, 100), (65, 63), (64, 64), (75, 50), (1000, 64),
]  # fmt: skip


@pytest.mark.parametrize("height, width", SHAPES)
def test_resizing_is_the_installed_pillows_to_a_grey_level(height, width):
    """Noise and black and white, whose clipping tells the orders of ways apart, and what is smooth. Two levels happen
    to a few of a million values: so few that at most one of a view may have them."""
    binary = to_pil_image((noise(height, width, 1) > 127).to(torch.uint8) * 255)
    smooth = to_pil_image(noise(6, 8, 2)).resize((width, height), CUBIC)
    for picture in (to_pil_image(noise(height, width)), binary, smooth):
        view = resized(pil_to_tensor(picture), 64, 64)
        levels = gap(view, picture.resize((64, 64), CUBIC))
        assert levels.max() <= 2 and (levels > 1).sum() <= 1


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("preset", ["crop", "flip", "none"])
def test_views_are_the_textbooks_to_a_grey_level_or_to_the_bit(preset, exact):
    augment, above, total = PRESETS[preset](224, exact=exact), 0, 0
    for seed, image in enumerate(photographs()):
        view = augment(Picture(pil_to_tensor(image)), generator(seed))
        stream = generator(seed)
        top, left, h, w = augment.box(image.height, image.width, stream)
        reference = image.crop((left, top, left + w, top + h)).resize((224, 224), CUBIC)
        if stream.random() < augment.flip:
            reference = reference.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        levels = gap(view.image, reference)
        assert levels.max() <= (0 if exact else 2)
        above, total = above + int((levels > 1).sum()), total + levels.numel()
    assert above <= 1e-5 * total


@pytest.mark.parametrize("exact", [False, True])
def test_the_views_of_2021_are_the_textbooks_to_a_few_grey_levels_or_to_the_bit(exact):
    seen = set()
    for seed, image in enumerate(photographs() * 2):
        view = Translate(224, exact)(Picture(pil_to_tensor(image)), generator(seed))
        stream = generator(seed)
        flip, move = stream.random() < 0.5, stream.random() < 0.5
        left_top = stream.random(2)
        reference = image.resize((224, 224), CUBIC)
        if flip:
            reference = reference.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if move:
            top, left = (round(x * 28) for x in left_top)
            large = reference.resize((252, 252), Image.Resampling.BILINEAR)
            reference = large.crop((left, top, left + 224, top + 224))
        levels = gap(view.image, reference.resize((252, 252), CUBIC).crop((14, 14, 238, 238)))
        assert levels.max() <= (0 if exact else 4) and (levels > 1).float().mean() < 1e-3, (
            "each of three resizes may be one off"
        )
        seen.add((flip, move))
    assert len(seen) == 4


def test_evaluation_of_2021_is_the_whole_picture_squeezed_and_cut():
    for image in photographs()[:3]:
        reference = T.Compose(
            [
                T.Resize((64, 64), T.InterpolationMode.BICUBIC),
                T.Resize((72, 72), T.InterpolationMode.BICUBIC),
                T.CenterCrop(64),
            ]
        )
        assert torch.equal(evaluation(image, 64, "coop-2021"), pil_to_tensor(reference(image)))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("height, width", [(64, 64), (48, 90), (120, 70)])
def test_masks_move_with_their_pictures(preset, height, width):
    for seed in range(20):
        view = PRESETS[preset](48)(blob(height, width), generator(seed))
        assert view.mask is not None and view.mask.shape == (1, 48, 48)
        assert set(view.mask.unique().tolist()) <= {0, 255}, "nearest: a mask stays binary"
        assert ((view.image[:1] > 127) == (view.mask > 127)).float().mean() > 0.9


@pytest.mark.parametrize("preset", PRESETS)
def test_a_mask_that_is_a_ramp_says_where_each_pixel_is_from(preset):
    """Nearest resampling of a column's number: it rises or, flipped, falls all the way, at one step a pixel."""
    ramp = torch.arange(200, dtype=torch.uint8).expand(1, 150, 200)
    for seed in range(10):
        row = PRESETS[preset](40)(Picture(noise(150, 200), ramp), generator(seed)).mask[0, 0].int()
        steps = row.diff()
        assert (steps >= 0).all() or (steps <= 0).all()
        assert steps.abs().max() - steps.abs().min() <= (2 if preset != "coop-2021" else 200 / 40 + 1)


def test_shrinking_keeps_the_shape_and_never_enlarges():
    small = shrunk(Picture(noise(100, 150), blob(100, 150).mask), 50)
    assert small.image.shape == (3, 50, 75) and small.mask.shape == (1, 50, 75)
    same = Picture(noise(100, 150))
    assert shrunk(same, 0) is same and shrunk(same, 100) is same
