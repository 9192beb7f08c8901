"""Segment Anything: proposes masks from a grid of points and selects the one that agrees best with a saliency map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune import checks
from cliptune.segmentation.make import SegmentationResults, Segmenter, classes_in, read_images
from cliptune.segmentation.pretrained import ModelFamily, PretrainedModel
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.data.dataset import Dataset

SAM = ModelFamily(
    "sam",
    "facebook/sam-vit-base",
    "AutoModelForMaskGeneration",
    "AutoImageProcessor",
    ("sam", "sam2", "sam2_video"),
)


class SamSegmenter(Segmenter):
    """The proposed mask that agrees best with a saliency map of the image's class. An image with several classes gets
    the union of the best mask of each.

    Args:
        loaded: A SAM or SAM 2 model.
        saliency: Function of uint8 images `(3, H, W)` and one label per image that returns non-negative maps
            `(b, 1, g, g)` of the whole images, such as Grad-CAM.
        points: Number of grid points along each side.
        chunk: Number of points decoded at once.
        settings: Plain values that distinguish the saliency from another.
    """

    def __init__(
        self,
        loaded: PretrainedModel,
        saliency: Callable[[Sequence[Tensor], Sequence[int]], Tensor],
        *,
        points: int = 16,
        chunk: int = 64,
        settings: dict[str, Any] | None = None,
    ):
        checks.require(points >= 1, "points", points, "at least 1 along each side")
        self.loaded, self.saliency, self.points, self.chunk = loaded, saliency, points, chunk
        self.settings = {"with": "sam", "model": loaded.name, "points": points, **(settings or {})}

    def segment(self, dataset: Dataset, examples: Sequence[Example]) -> SegmentationResults:
        readable, images, errors = read_images(dataset, examples)
        yield from ((example, errors[example.key]) for example in examples if example.key in errors)
        if not readable:
            return
        labels = [[label for label, _ in classes_in(dataset, e)] for e in readable]
        repeated = [image for image, few in zip(images, labels, strict=True) for _ in few]
        maps = self.saliency(repeated, [label for few in labels for label in few])
        prepared = self.loaded.processor(images=images, return_tensors="pt", input_data_format="channels_first")
        square = prepared["pixel_values"].shape[-2:]
        # Size of the image inside the model's square input: SAM pads images to a square, SAM 2 squashes them.
        parts = [(int(h), int(w)) for h, w in prepared.get("reshaped_input_sizes", [square] * len(readable))]
        best = self._best(prepared["pixel_values"], parts, maps.split([len(few) for few in labels]))
        for example, image, logits, (h, w) in zip(readable, images, best, parts, strict=True):
            whole = F.interpolate(logits[None], square, mode="bilinear")[..., :h, :w]
            yield example, F.interpolate(whole, image.shape[-2:], mode="bilinear")[0].sigmoid().amax(0)

    @torch.inference_mode()
    def _best(self, pixels: Tensor, parts: Sequence[tuple[int, int]], maps: Sequence[Tensor]) -> list[Tensor]:
        """For each image the logits `(maps, h, w)`, at the decoder's size, of the best mask for each of its maps."""
        (pixels,) = self.loaded.to_inputs({"pixel_values": pixels}).values()
        embedded = self.loaded.model.get_image_embeddings(pixels)
        side = (torch.arange(self.points, device=pixels.device) + 0.5) / self.points
        grid = torch.cartesian_prod(side, side)
        scale = torch.tensor([[w, h] for h, w in parts], device=pixels.device)
        winners: list[list[Tensor]] = [[torch.empty(0)] * len(few) for few in maps]
        scores = [[-1.0] * len(few) for few in maps]
        for some in grid.split(self.chunk):
            points = (some[None, :, None] * scale[:, None, None]).to(pixels.dtype)
            out = self.loaded.model(image_embeddings=embedded, input_points=points, multimask_output=True)
            for i, (masks, quality) in enumerate(zip(out.pred_masks, out.iou_scores, strict=True)):
                masks, quality = masks.flatten(0, 1).float(), quality.flatten().float()
                # The part of the decoder's square that the image covers.
                h, w = (
                    max(1, round(part / whole * n))
                    for part, whole, n in zip(parts[i], pixels.shape[-2:], masks.shape[-2:], strict=True)
                )
                for j, saliency in enumerate(maps[i].to(masks)):
                    score, index = (soft_iou(masks[:, :h, :w] > 0, saliency) * quality).max(0)
                    if float(score) > scores[i][j]:
                        scores[i][j], winners[i][j] = float(score), masks[index].clone()
        return [torch.stack(few) for few in winners]


def soft_iou(masks: Tensor, saliency: Tensor) -> Tensor:
    """Intersection over union `(n,)` of binary masks `(n, h, w)` with a map `(1, g, g)`, scaled to a maximum of 1: the
    map's sum inside a mask, divided by the mask's area plus the map's sum outside."""
    soft = F.interpolate(saliency[None], masks.shape[-2:], mode="bilinear", align_corners=True)[0]
    soft = soft / soft.amax().clamp_min(torch.finfo(soft.dtype).tiny)
    inside = (masks * soft).sum((1, 2))
    return inside / (masks.sum((1, 2)) + soft.sum() - inside).clamp_min(1)
