"""Composites sprites on backgrounds, in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def premultiply_alpha(sprites: np.ndarray) -> Tensor:
    """Straight-alpha uint8 `(n, s, s, 4)` to premultiplied float `(n, 4, s, s)` in [0, 1]."""
    import torch

    planes = torch.from_numpy(np.ascontiguousarray(sprites)).permute(0, 3, 1, 2).float() / 255
    return torch.cat([planes[:, :3] * planes[:, 3:], planes[:, 3:]], 1).contiguous()


def affine_matrices(pose: np.ndarray) -> Tensor:
    """Matrices `(b, 2, 3)` for `F.affine_grid`, from output to sprite coordinates, for poses `(b, 5)`.

    A pose is: the sprite's side as a fraction of the image's; angle in radians; flip, +1 or -1; centre x, y in [-1, 1].
    """
    import torch

    scale, angle, flip, x, y = pose.astype(np.float32).T
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    maps = np.stack([flip * cos, flip * sin, -flip * (cos * x + sin * y), -sin, cos, sin * x - cos * y], 1)
    return torch.from_numpy(maps.reshape(-1, 2, 3))


def warp_sprites(sprites: Tensor, maps: Tensor, size: int) -> Tensor:
    """Warp premultiplied `sprites` `(b, 4, s, s)` by `maps` `(b, 2, 3)` onto transparent `(b, 4, size, size)`."""
    import torch.nn.functional as F

    grid = F.affine_grid(maps, [len(maps), 4, size, size], align_corners=False)
    return F.grid_sample(sprites, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def alpha_over(sprite: Tensor, tint: Tensor, background: Tensor, shade: Tensor) -> tuple[Tensor, Tensor]:
    """Composite warped sprites over backgrounds, with a colour jitter per channel.

    Args:
        sprite: Premultiplied, float `(b, 4, h, w)` in [0, 1].
        tint: Factors of the sprite's channels `(b, 3)`, about 1.
        background: uint8 `(b, 3, h, w)`.
        shade: Factors of the background's channels `(b, 3)`, about 1.

    Returns:
        The image, uint8 `(b, 3, h, w)`, and the exact soft mask, uint8 `(b, 1, h, w)`, 255 = sprite.
    """
    import torch

    # The mask is rounded before compositing, so that the returned mask is exactly the one that was used.
    mask = (sprite[:, 3:] * 255).round_()
    alpha = mask / 255
    front = torch.minimum(sprite[:, :3] * tint[:, :, None, None], alpha) * 255
    back = (background * shade[:, :, None, None]).clamp_(max=255)
    image = torch.addcmul(front, back, 1 - alpha).round_().clamp_(0, 255)
    return image.to(torch.uint8), mask.to(torch.uint8)


def halve(sprites: Tensor) -> Tensor:
    """Sprites at half size, from which small poses are rendered without aliasing."""
    import torch.nn.functional as F

    return F.avg_pool2d(sprites, 2)
