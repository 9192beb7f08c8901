"""Views equal the published ones by Pillow to one grey level, or exactly."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.transforms import PRESETS, RandomCropFlip, RandomTranslate, evaluation_view, resize_image
from cliptune.types import DecodedImage
from noise_images import noise_image, seeded_generator


def test_whole_images_are_squeezed():
    view = RandomCropFlip(32, scale=(1.0, 1.0), flip=0.0)(DecodedImage(noise_image(50, 90)), seeded_generator(0))
    assert gap(view.image, to_pil_image(noise_image(50, 90)).resize((32, 32), CUBIC)).max() <= 1 and view.mask is None


CUBIC = Image.Resampling.BICUBIC
SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "photos" / "imagenet_sample"
#: Heights and widths of photographs.
SIZES = [
    (375, 500), (500, 333), (1200, 900), (480, 640), (640, 427), (333, 500),
    (500, 500), (768, 1024), (600, 400), (375, 500), (400, 600), (500, 375),
]  # fmt: skip


def synthetic(seed):
    """Noise in four octaves, each half as strong as the coarser one: detail and contrast as photographs have them."""
    height, width = SIZES[seed]
    total = torch.zeros(3, height, width)
    for octave, grid in enumerate((4, 16, 64, 256)):
        coarse = to_pil_image(noise_image(grid * 3 // 4, grid, 100 * octave + seed)).resize((width, height), CUBIC)
        total += (pil_to_tensor(coarse).float() - 127) / 2 ** (octave + 1)
    return to_pil_image((total + 127).clamp(0, 255).to(torch.uint8))


@pytest.fixture(scope="module", params=["synthetic", "photographs"])
def images(request):
    """Twelve synthetic images at sizes of photographs, and twelve photographs if available."""
    if request.param == "synthetic":
        return [synthetic(seed) for seed in range(len(SIZES))]
    if not SAMPLE.is_dir():
        pytest.skip("no photographs: shared/data/photos/imagenet_sample is missing")
    return [Image.open(path).convert("RGB") for path in sorted(SAMPLE.iterdir())[:12]]


def gap(view, reference):
    """Differences between our view and Pillow's in grey levels."""
    return (view.int() - pil_to_tensor(reference).int()).abs()


#: Wide, tall, much smaller, larger, one axis only, and both sides of the size where Pillow 13 swaps the order of axes.
SHAPES = [
    (40, 300), (300, 40), (700, 600), (600, 700), (20, 30), (9, 5), (1, 1), (64, 200), (200, 64), (30, 200), (200, 30),
    (136, 100), (137, 100), (65, 63), (64, 64), (75, 50), (1000, 64),
]  # fmt: skip


@pytest.mark.parametrize("height, width", SHAPES)
def test_resizing_equals_pillow_to_one_grey_level(height, width):
    """Noise, black and white (where clipping depends on the order of axes), and smooth images. A few of a million
    values differ by two levels: at most one value of a view may."""
    binary = to_pil_image((noise_image(height, width, 1) > 127).to(torch.uint8) * 255)
    smooth = to_pil_image(noise_image(6, 8, 2)).resize((width, height), CUBIC)
    for image in (to_pil_image(noise_image(height, width)), binary, smooth):
        view = resize_image(pil_to_tensor(image), 64, 64)
        levels = gap(view, image.resize((64, 64), CUBIC))
        assert levels.max() <= 2 and (levels > 1).sum() <= 1


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("preset", ["crop", "flip", "none"])
def test_views_equal_the_reference_to_one_grey_level_or_exactly(images, preset, exact):
    augment, above, total = PRESETS[preset](224, exact=exact), 0, 0
    for seed, image in enumerate(images):
        view = augment(DecodedImage(pil_to_tensor(image)), seeded_generator(seed))
        stream = seeded_generator(seed)
        top, left, h, w = augment.box(image.height, image.width, stream)
        reference = image.crop((left, top, left + w, top + h)).resize((224, 224), CUBIC)
        if stream.random() < augment.flip:
            reference = reference.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        levels = gap(view.image, reference)
        assert levels.max() <= (0 if exact else 2)
        above, total = above + int((levels > 1).sum()), total + levels.numel()
    assert above <= 1e-5 * total


@pytest.mark.parametrize("exact", [False, True])
def test_views_of_2021_equal_the_reference_to_a_few_grey_levels_or_exactly(images, exact):
    seen = set()
    for seed, image in enumerate(images * 2):
        view = RandomTranslate(224, exact)(DecodedImage(pil_to_tensor(image)), seeded_generator(seed))
        stream = seeded_generator(seed)
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


def test_evaluation_of_2021_resizes_the_whole_image(images):
    for image in images[:3]:
        reference = T.Compose(
            [
                T.Resize((64, 64), T.InterpolationMode.BICUBIC),
                T.Resize((72, 72), T.InterpolationMode.BICUBIC),
                T.CenterCrop(64),
            ]
        )
        assert torch.equal(evaluation_view(image, Preprocess((64, 64)), "coop-2021"), pil_to_tensor(reference(image)))
