"""SAM's segmenter with a fake model that draws a box around each point. test_text_segmenter.py tests the real
classes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from cliptune.errors import UserError
from cliptune.segmentation.pretrained import PretrainedModel
from cliptune.segmentation.sam import SAM, SamSegmenter, soft_iou
from cliptune.types import DecodedImage
from tiny_tasks import drawings

SQUARE, MASK = 64, 32


class Boxes:
    """A decoder of masks of 32 x 32 on images of 64 x 64: boxes of three sizes around each point."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, quality=(1.0, 1.0, 1.0)):
        self.quality, self.points = quality, []

    def get_image_embeddings(self, pixels):
        return pixels

    def __call__(self, *, image_embeddings, input_points, multimask_output):
        assert multimask_output and input_points.shape[0] == len(image_embeddings)
        self.points.append(input_points)
        at = torch.arange(MASK) + 0.5
        x, y = (input_points[:, :, 0, i, None, None, None] / SQUARE * MASK for i in (0, 1))
        half = torch.tensor([2.0, 4.0, 8.0])[:, None, None]
        inside = ((at[None, :] - x).abs() <= half) & ((at[:, None] - y).abs() <= half)
        quality = torch.tensor(self.quality).expand(*inside.shape[:2], 3)
        return SimpleNamespace(pred_masks=inside * 20.0 - 10, iou_scores=quality)


def padded(images, **_):
    """Like SAM's processor: resize the longer side to 64 and pad to a square."""
    sizes = [[round(n * SQUARE / max(i.shape[-2:])) for n in i.shape[-2:]] for i in images]
    return {"pixel_values": torch.zeros(len(images), 3, SQUARE, SQUARE), "reshaped_input_sizes": torch.tensor(sizes)}


def squeezed(images, **_):
    """Like SAM 2's processor: resize images to a square."""
    return {"pixel_values": torch.zeros(len(images), 3, SQUARE, SQUARE)}


class Blank:
    """Images of two shapes."""

    classnames = ("left", "right")
    sizes = {"wide": (40, 80), "high": (90, 30)}

    def read(self, example):
        return DecodedImage(torch.zeros(3, *self.sizes[example.key], dtype=torch.uint8))


def sides(images, labels):
    """Saliency: a blob left (class 0) or right (class 1) of the middle."""
    maps = torch.zeros(len(images), 1, 8, 8)
    for each, label in zip(maps, labels, strict=True):
        each[:, 2:6, (1 if label == 0 else 5) : (3 if label == 0 else 7)] = 1
    return maps


def examples(*labels, several=()):
    example = drawings().examples("train")[0]
    pairs = zip(Blank.sizes, labels, strict=True)
    return [replace(example, key=key, label=label, path=None, labels=several) for key, label in pairs]


def masks(processor, expected, model=None, **more):
    segmenter = SamSegmenter(
        PretrainedModel(SAM, "boxes", model or Boxes(), processor), sides, **{"points": 16, **more}
    )
    return [mask >= 0.5 for _, mask in segmenter.segment(Blank(), expected)]


@pytest.mark.parametrize("processor", [padded, squeezed])
def test_the_mask_around_the_class_is_chosen_on_any_shape(processor):
    for labels in ((0, 1), (1, 0)):
        found = masks(processor, examples(*labels))
        for mask, label, (height, width) in zip(found, labels, Blank.sizes.values(), strict=True):
            assert mask.shape == (height, width)
            y, x = (torch.nonzero(mask).float().mean(0) / torch.tensor([height, width])).tolist()
            assert abs(y - 0.5) < 0.12 and abs(x - (0.25 if label == 0 else 0.75)) < 0.12


def test_the_mask_of_several_classes_contains_all():
    one, _ = masks(squeezed, examples(0, 0))
    other, _ = masks(squeezed, examples(1, 1))
    both, _ = masks(squeezed, examples(0, 0, several=(0, 1)))
    assert torch.equal(both, one | other) and not torch.equal(one, other)


def test_masks_with_low_predicted_quality_lose():
    certain, doubted = (masks(squeezed, examples(0, 0), Boxes(q))[0].sum() for q in ((1, 1, 1), (1, 0.01, 0.01)))
    assert doubted < certain


def test_points_are_a_grid_on_the_unpadded_image_in_chunks():
    model = Boxes()
    masks(padded, examples(0, 1), model, points=5, chunk=10)
    assert [len(p[0]) for p in model.points] == [10, 10, 5]
    wide, high = torch.cat(model.points, 1)[:, :, 0]
    assert wide.unique(dim=0).shape == (25, 2)
    assert wide.amax(0).tolist() == pytest.approx([64 * 0.9, 32 * 0.9])
    assert high.amin(0).tolist() == pytest.approx([21 * 0.1, 64 * 0.1])


def test_the_chunk_size_does_not_matter():
    found = [masks(padded, examples(0, 1), chunk=chunk) for chunk in (7, 256)]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_overlap_is_intersection_over_union():
    saliency = torch.zeros(1, 4, 4)
    saliency[:, :2] = 7.0  # at any scale
    map_ = F.interpolate(saliency[None], (4, 4), mode="bilinear", align_corners=True)[0]
    assert torch.equal(map_, saliency)
    candidates = torch.zeros(3, 4, 4, dtype=torch.bool)
    candidates[0, :2] = True
    candidates[1, 1:3] = True
    assert soft_iou(candidates, saliency).tolist() == pytest.approx([1, 1 / 3, 0])
    assert soft_iou(candidates, torch.zeros(1, 4, 4)).tolist() == [0, 0, 0]


def test_a_grid_needs_points():
    with pytest.raises(UserError, match="points must be at least 1.*got 0"):
        masks(padded, examples(0, 1), points=0)
