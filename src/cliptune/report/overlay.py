"""Enlarged images with mask outlines and saliency heat maps."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from PIL import Image, ImageFilter

#: JPEG is a fifth of the size, for pages with many images.
ImageFormat = Literal["png", "jpeg"]
JPEG_QUALITY = 85
LONG_SIDE = 224  # pixels of the longer side
#: Callers shrink larger images to this shorter side before keeping them; no place on a page is larger.
MAX_SHORT_SIDE = 512
HEAT_COLOURMAP = "inferno"
#: Colours of outlines, in order.
OUTLINE_COLOURS = ((255, 255, 255), (255, 170, 0))


def image_bytes(image: Any, mask: Any = None, *, side: int = LONG_SIDE, kind: ImageFormat = "png") -> bytes:
    """Encode `image`, uint8 `(3, H, W)`, with its longer side resized to `side` pixels.

    The outline of `mask`, uint8 `(1, H, W)` with 255 = foreground, is drawn if given.
    """
    canvas = _resize_image(image, side)
    return encode_image(canvas if mask is None else _draw_outline(canvas, mask), kind)


def heatmap_bytes(
    image: Any,
    saliency: Any,
    mask: Any = None,
    *,
    side: int = LONG_SIDE,
    strength: float = 0.75,
    kind: ImageFormat = "png",
) -> bytes:
    """Encode `image` as `image_bytes` does, with `saliency` `(h, w)` in [0, 1] overlaid as a heat map.

    `strength` is the opacity where the saliency is 1.
    """
    canvas = _resize_image(image, side)
    height, width = canvas.shape[:2]
    heat = _resize_plane(np.asarray(saliency, dtype=np.float32), width, height).clip(0, 1)
    colour = np.asarray(matplotlib.colormaps[HEAT_COLOURMAP](0.25 + 0.7 * heat))[..., :3] * 255
    grey = canvas.mean(axis=2, keepdims=True) * 0.6 + canvas * 0.4  # a desaturated image makes the heat map stand out
    opacity = strength * (0.25 + 0.75 * heat)[..., None]
    blended = grey * (1 - opacity) + colour * opacity
    return encode_image(blended if mask is None else _draw_outline(blended, mask), kind)


def draw_masks(image: Any, masks: Sequence[Any] = (), *, side: int = LONG_SIDE, dim: bool = False) -> np.ndarray:
    """Resize an image and outline each mask in a colour of `OUTLINE_COLOURS`.

    Args:
        image: uint8 `(3, H, W)`.
        masks: uint8 `(1, H, W)` each, 255 = foreground.
        side: longer side of the result in pixels.
        dim: whether to darken the background of the first mask.

    Returns:
        uint8 `(H', W', 3)`.
    """
    canvas = _resize_image(image, side)
    if dim and masks:
        height, width = canvas.shape[:2]
        inside = _resize_plane(np.asarray(masks[0])[0].astype(np.float32) / 255, width, height).clip(0, 1)[..., None]
        dark = 0.35 * canvas.mean(axis=2, keepdims=True) + 0.15 * canvas
        canvas = canvas * inside + dark * (1 - inside)
    for mask, colour in zip(masks, OUTLINE_COLOURS, strict=False):
        canvas = _draw_outline(canvas, mask, colour)
    return canvas.round().clip(0, 255).astype(np.uint8)


def _resize_image(image: Any, side: int) -> np.ndarray:
    """Resize to float `(H', W', 3)` in 0..255 with longer side `side`."""
    pixels = np.moveaxis(np.asarray(image), 0, -1)
    scale = side / max(pixels.shape[:2])
    size = (max(2, round(pixels.shape[1] * scale)), max(2, round(pixels.shape[0] * scale)))
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC), dtype=np.float32
    )


def _resize_plane(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


def _draw_outline(canvas: np.ndarray, mask: Any, colour: tuple[int, int, int] = OUTLINE_COLOURS[0]) -> np.ndarray:
    """Draw a line with a dark rim along the border of the mask, visible on any background."""
    height, width = canvas.shape[:2]
    plane = Image.fromarray(
        _resize_plane(np.asarray(mask)[0].astype(np.float32), width, height).clip(0, 255).astype(np.uint8)
    )
    inside = np.asarray(plane.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float32) - 127.5
    down, right = np.gradient(inside)
    away = np.abs(inside) / (np.hypot(down, right) + 1e-3)  # pixels from the border, near it
    line, rim = ((reach - away).clip(0, 1)[..., None] for reach in (1.6, 2.8))
    canvas = canvas * (1 - 0.6 * rim)
    return canvas * (1 - line) + np.asarray(colour, dtype=np.float32) * line


def encode_image(canvas: np.ndarray, kind: ImageFormat) -> bytes:
    """Encode an image `(H, W, 3)` in 0..255."""
    out = io.BytesIO()
    Image.fromarray(canvas.round().clip(0, 255).astype(np.uint8)).save(out, kind.upper(), quality=JPEG_QUALITY)
    return out.getvalue()
