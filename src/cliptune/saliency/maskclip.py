"""MaskCLIP saliency: the value vectors of the last visual block as patch features. Needs no gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cliptune.backbones.features import image_features
from cliptune.saliency.last_input import last_input

if TYPE_CHECKING:
    from cliptune.model.tuned_model import TunedModel


@torch.no_grad()
def maskclip(model: TunedModel, images: Tensor, labels: Tensor, *, known: Tensor | None = None) -> Tensor:
    """Saliency maps `(b, 1, g, g)` in [0, 1] of normalised images `(b, 3, H, W)` with classes `labels` `(b,)`.

    The value vector of a patch in the last block, projected like the output of the class token, is in the space of
    text features (Zhou et al., Extract Free Dense Labels from CLIP, ECCV 2022, https://arxiv.org/abs/2112.01071). A
    patch's score is its cosine with the true class minus the mean cosine over all classes, scaled to [0, 1] per image.

    known: The images' `last_input`, if it was computed before.
    """
    tower, prompts = model.backbone.image_tower, model.prompts_for(images)
    x = last_input(model, images, prompts) if known is None else known
    rows, columns = model.backbone.patch_grid
    values = tower.values(x, prompts)[:, 1 : 1 + rows * columns]
    patches = image_features(values.flatten(0, 1), prompts).unflatten(0, values.shape[:2])  # adapters take rows
    condition = model.encode_views({"image": images}, prompts)["image"] if prompts.conditional else None
    text, _ = model.encode_classes(None, prompts, condition)
    cosines = patches @ text.mT  # (b, g * g, C); text features are shared or, with conditional prompts, per image
    own = cosines.gather(2, labels[:, None, None].expand(-1, cosines.shape[1], 1))[..., 0] - cosines.mean(2)
    own = own - own.amin(1, keepdim=True)
    largest = own.amax(1, keepdim=True).clamp_min(torch.finfo(own.dtype).tiny)
    return (own / largest).unflatten(1, (rows, columns))[:, None]
