"""Segment anything: masks around a grid of points, of which a map of where the class is chooses one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.errors import UserError
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
    """The mask that agrees best with a saliency map of the picture's class, of all that a grid of points gives; of
    several classes, the best of each.

    Args: saliency: uint8 pictures `(3, H, W)` and a label each -> maps `(b, 1, g, g)` of whole pictures, not negative,
    such as Grad-CAM's. points: of the grid, along each side. chunk: points decoded at once. about: what tells the
    saliency from another.
    """

    def __init__(
        self,
        loaded: PretrainedModel,
        saliency: Callable[[Sequence[Tensor], Sequence[int]], Tensor],
        *,
        points: int = 16,
        chunk: int = 64,
        about: dict[str, Any] | None = None,
    ):
        if points < 1:
            raise UserError(f"points={points} make no grid: choose at least 1 along each side")
        self.loaded, self.saliency, self.points, self.chunk = loaded, saliency, points, chunk
        self.about = {"with": "sam", "model": loaded.name, "points": points, **(about or {})}

    def segment(self, dataset: Dataset, examples: Sequence[Example]) -> SegmentationResults:
        seen, images, unread = read_images(dataset, examples)
        yield from ((example, unread[example.key]) for example in examples if example.key in unread)
        if not seen:
            return
        labels = [[label for label, _ in classes_in(dataset, e)] for e in seen]
        repeated = [image for image, few in zip(images, labels, strict=True) for _ in few]
        maps = self.saliency(repeated, [label for few in labels for label in few])
        prepared = self.loaded.processor(images=images, return_tensors="pt", input_data_format="channels_first")
        square = prepared["pixel_values"].shape[-2:]
        # The part of the square that is picture: SAM pads pictures to one, SAM 2 squeezes them.
        parts = [(int(h), int(w)) for h, w in prepared.get("reshaped_input_sizes", [square] * len(seen))]
        best = self._best(prepared["pixel_values"], parts, maps.split([len(few) for few in labels]))
        for example, image, logits, (h, w) in zip(seen, images, best, parts, strict=True):
            whole = F.interpolate(logits[None], square, mode="bilinear")[..., :h, :w]
            yield example, F.interpolate(whole, image.shape[-2:], mode="bilinear")[0].sigmoid().amax(0)

    @torch.inference_mode()
    def _best(self, pixels: Tensor, parts: Sequence[tuple[int, int]], maps: Sequence[Tensor]) -> list[Tensor]:
        """For each picture and each of its maps the logits of the mask that wins, `(maps, h, w)`, at the decoder's
        size."""
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
                # As much of the decoder's square as is picture.
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
    """Intersection over union `(n,)` of masks `(n, h, w)` of 0 and 1 with a map `(1, g, g)`, scaled to a maximum of 1:
    what of the map lies inside, over the mask's area and what of the map lies outside."""
    soft = F.interpolate(saliency[None], masks.shape[-2:], mode="bilinear", align_corners=True)[0]
    soft = soft / soft.amax().clamp_min(torch.finfo(soft.dtype).tiny)
    inside = (masks * soft).sum((1, 2))
    return inside / (masks.sum((1, 2)) + soft.sum() - inside).clamp_min(1)
