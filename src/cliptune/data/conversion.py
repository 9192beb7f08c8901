"""Images and masks of Python objects as uint8 tensors: PIL images, arrays and tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cliptune.data.image_io import from_pil
from cliptune.errors import UserError
from cliptune.types import DecodedImage

if TYPE_CHECKING:
    from torch import Tensor


def to_image(image: Any, what: str) -> DecodedImage:
    """Convert a PIL image, a tensor `(C, H, W)` or `(H, W)`, or an array `(H, W, C)` or `(H, W)`. A fourth channel is
    alpha. Raises `UserError`."""
    from torch import Tensor
    from torchvision.transforms.v2.functional import to_pil_image

    if isinstance(image, Image.Image):
        return from_pil(image)
    pixels = _to_uint8(image, what)
    if pixels.shape[0] not in (1, 3, 4):
        order = "(C, H, W)" if isinstance(image, Tensor) else "(H, W, C)"
        raise UserError(f"{what} has the shape {tuple(image.shape)}; expected {order} with 1, 3 or 4 channels")
    if len(pixels) == 4:
        return from_pil(to_pil_image(pixels))
    return DecodedImage(pixels.expand(3, -1, -1).contiguous())


def to_mask(mask: Any, what: str) -> Tensor:
    """Convert a mask with maximum 1 or 255 to uint8 `(1, H, W)`, 255 = foreground. Raises `UserError`."""
    from torchvision.transforms.v2.functional import pil_to_tensor

    values = pil_to_tensor(mask.convert("L")) if isinstance(mask, Image.Image) else _to_uint8(mask, what)
    if len(values) != 1:
        raise UserError(f"{what} has {len(values)} channels; a mask has one")
    return values * 255 if values.max() <= 1 else values


def _to_uint8(image: Any, what: str) -> Tensor:
    """Convert a tensor or an array to uint8 `(C, H, W)`."""
    import torch
    from torch import Tensor

    if isinstance(image, np.ndarray):
        if image.dtype.kind not in "buif":
            raise UserError(f"{what} is an array of {image.dtype}; expected uint8, or float in [0, 1]")
        # PyTorch warns of read-only arrays, and supports only the machine's byte order.
        tensor = torch.from_numpy(np.require(image, image.dtype.newbyteorder("="), ["C", "W"]))
        tensor = tensor.permute(2, 0, 1) if tensor.ndim == 3 else tensor
    elif isinstance(image, Tensor):
        tensor = image.detach().cpu().as_subclass(Tensor)
    else:
        raise UserError(f"{what} is a {type(image).__name__}; expected a PIL image, a tensor or an array")
    tensor = tensor[None] if tensor.ndim == 2 else tensor
    if tensor.ndim != 3 or not tensor.numel():
        raise UserError(f"{what} has the shape {tuple(image.shape)}; expected one image")
    if tensor.dtype == torch.uint8:
        return tensor.contiguous()
    if tensor.dtype == torch.bool:
        return tensor.to(torch.uint8) * 255
    if not tensor.is_floating_point():
        raise UserError(f"{what} is of {tensor.dtype}; expected uint8, or float in [0, 1]")
    low, high = float(tensor.min()), float(tensor.max())
    if not (low >= 0 and high <= 1):
        raise UserError(
            f"{what} has values from {low:.3g} to {high:.3g}; floats are in [0, 1], so give images without Normalize, "
            f"or as uint8"
        )
    return (tensor.float() * 255).round().to(torch.uint8)
