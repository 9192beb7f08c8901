"""Pictures for people: enlarged, with the outline of a mask and a heat map of where a model looked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from PIL import Image, ImageFilter

#: JPEG is a fifth as large, for pages of many.
Kind = Literal["png", "jpeg"]
QUALITY = 85
SIDE = 224  # pixels of the longer side
#: Shorter edge to which whoever draws shrinks larger images before they are held: more than any place on a page has.
SHARP = 512
HEAT = "inferno"
#: Of outlines, where there are several.
LINES = ((255, 255, 255), (255, 170, 0))


def picture_bytes(image: Any, mask: Any = None, *, side: int = SIDE, kind: Kind = "png") -> bytes:
    """PNG (or JPEG) of `image` uint8 `(3, H, W)`, its longer side `side` pixels.

    mask: uint8 `(1, H, W)`, 255 = foreground; its outline is drawn.
    """
    canvas = _enlarged(image, side)
    return _coded(canvas if mask is None else _outlined(canvas, mask), kind)


def overlay_bytes(
    image: Any, saliency: Any, mask: Any = None, *, side: int = SIDE, strength: float = 0.75, kind: Kind = "png"
) -> bytes:
    """The same with `saliency` `(h, w)` in [0, 1] over it as heat: the more salient, the hotter and the more opaque.

    strength: opacity where saliency is 1.
    """
    canvas = _enlarged(image, side)
    height, width = canvas.shape[:2]
    heat = _resized(np.asarray(saliency, dtype=np.float32), width, height).clip(0, 1)
    colour = np.asarray(matplotlib.colormaps[HEAT](0.25 + 0.7 * heat))[..., :3] * 255
    grey = canvas.mean(axis=2, keepdims=True) * 0.6 + canvas * 0.4  # the picture steps back, the heat stands out
    opacity = strength * (0.25 + 0.75 * heat)[..., None]
    blended = grey * (1 - opacity) + colour * opacity
    return _coded(blended if mask is None else _outlined(blended, mask), kind)


def picture_with_masks(image: Any, masks: Sequence[Any] = (), *, side: int = SIDE, dim: bool = False) -> np.ndarray:
    """uint8 `(H', W', 3)`: `image` uint8 `(3, H, W)` with its longer side `side`, each mask outlined in a colour of
    `LINES`.

    masks: uint8 `(1, H, W)` each, 255 = foreground. dim: the background of the first is shown dark and grey.
    """
    canvas = _enlarged(image, side)
    if dim and masks:
        height, width = canvas.shape[:2]
        inside = _resized(np.asarray(masks[0])[0].astype(np.float32) / 255, width, height).clip(0, 1)[..., None]
        dark = 0.35 * canvas.mean(axis=2, keepdims=True) + 0.15 * canvas
        canvas = canvas * inside + dark * (1 - inside)
    for mask, colour in zip(masks, LINES, strict=False):
        canvas = _outlined(canvas, mask, colour)
    return canvas.round().clip(0, 255).astype(np.uint8)


def _enlarged(image: Any, side: int) -> np.ndarray:
    """float `(H', W', 3)` in 0..255, its longer side `side`."""
    pixels = np.moveaxis(np.asarray(image), 0, -1)
    scale = side / max(pixels.shape[:2])
    size = (max(2, round(pixels.shape[1] * scale)), max(2, round(pixels.shape[0] * scale)))
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC), dtype=np.float32
    )


def _resized(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


def _outlined(canvas: np.ndarray, mask: Any, colour: tuple[int, int, int] = LINES[0]) -> np.ndarray:
    """A line with a dark rim along the mask's border: seen on any background."""
    height, width = canvas.shape[:2]
    plane = Image.fromarray(
        _resized(np.asarray(mask)[0].astype(np.float32), width, height).clip(0, 255).astype(np.uint8)
    )
    inside = np.asarray(plane.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float32) - 127.5
    down, right = np.gradient(inside)
    away = np.abs(inside) / (np.hypot(down, right) + 1e-3)  # pixels from the border, near it
    line, rim = ((reach - away).clip(0, 1)[..., None] for reach in (1.6, 2.8))
    canvas = canvas * (1 - 0.6 * rim)
    return canvas * (1 - line) + np.asarray(colour, dtype=np.float32) * line


def _coded(canvas: np.ndarray, kind: Kind) -> bytes:
    out = io.BytesIO()
    Image.fromarray(canvas.round().clip(0, 255).astype(np.uint8)).save(out, kind.upper(), quality=QUALITY)
    return out.getvalue()
