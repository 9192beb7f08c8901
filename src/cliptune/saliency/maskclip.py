"""Which patches speak of the class: the image tower's last values read as features (MaskCLIP). No gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cliptune.backbones.features import image_features

if TYPE_CHECKING:
    from cliptune.model.tuned_model import TunedModel


@torch.no_grad()
def maskclip(model: TunedModel, images: Tensor, labels: Tensor) -> Tensor:
    """Maps `(b, 1, g, g)` in [0, 1] of normalised `images` `(b, 3, H, W)` with classes `labels` `(b,)`.

    A patch's value in the last block, projected as the class token's output is, lies in the space of sentences (Zhou et
    al., Extract Free Dense Labels from CLIP, ECCV 2022, https://arxiv.org/abs/2112.01071). Its cosine with the true
    class, less the mean over all classes, is stretched over each image.
    """
    tower, prompts = model.backbone.image_tower, model.prompts()
    x = tower.before_last(images, prompts.image, lent=prompts.image_kv)
    rows, columns = model.backbone.patch_grid
    patches = image_features(tower.values(x)[:, 1 : 1 + rows * columns], prompts)
    seen = model.encode_views({"image": images}, prompts)["image"] if prompts.conditional else None
    text, _ = model.encode_classes(None, prompts, seen)
    cosines = patches @ text.mT  # (b, g * g, C), with the same sentences for all images or each its own
    own = cosines.gather(2, labels[:, None, None].expand(-1, cosines.shape[1], 1))[..., 0] - cosines.mean(2)
    own = own - own.amin(1, keepdim=True)
    largest = own.amax(1, keepdim=True).clamp_min(torch.finfo(own.dtype).tiny)
    return (own / largest).unflatten(1, (rows, columns))[:, None]
