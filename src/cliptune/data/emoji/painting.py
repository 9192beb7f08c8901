"""Drawing operations for procedural images: noise, gradients and shapes on NumPy canvases."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Planes are `(size, size)`, canvases `(size, size, 3)`, paints `(3,)` or a canvas: floats in about [0, 1], or booleans.
Plane = NDArray[Any]
Canvas = NDArray[Any]
Paint = NDArray[Any]


@cache
def _interpolation_matrix(cells: int, size: int) -> Plane:
    """The matrix `(size, cells + 1)` that interpolates knots to pixels with a smoothstep."""
    at = np.linspace(0, cells, size, endpoint=False, dtype=np.float32)
    low = at.astype(int)
    part = at - low
    part = part * part * (3 - 2 * part)
    out = np.zeros((size, cells + 1), np.float32)
    out[np.arange(size), low] = 1 - part
    out[np.arange(size), low + 1] = part
    return out


def noise(rng: np.random.Generator, size: int, across: int, down: int | None = None, octaves: int = 3) -> Plane:
    """Value noise `(size, size)` in about [0, 1]. `across` and `down` are the cell counts of the coarsest octave."""
    down = across if down is None else down
    total, weight, norm = np.zeros((size, size), np.float32), 1.0, 0.0
    for _ in range(octaves):
        rows, columns = min(down, size), min(across, size)
        knots = rng.random((rows + 1, columns + 1), dtype=np.float32)
        total += weight * (_interpolation_matrix(rows, size) @ knots @ _interpolation_matrix(columns, size).T)
        norm, weight, across, down = norm + weight, weight / 2, across * 2, down * 2
    return total / np.float32(norm)


def random_colour(rng: np.random.Generator, *choices: tuple[int, int, int], spread: float = 12) -> Paint:
    """One of the given RGB colours (0 to 255) with random jitter: `(3,)` in [0, 1]."""
    base = np.asarray(choices[int(rng.integers(len(choices)))], np.float32)
    moved = base + rng.uniform(-spread, spread) + rng.uniform(-spread / 2, spread / 2, 3)
    return (moved / 255).clip(0, 1).astype(np.float32)


def mix(low: Paint, high: Paint, amount: Plane) -> Canvas:
    """Blend two colours, or canvases, by a plane in [0, 1]: `(size, size, 3)`."""
    return low + (high - low) * amount.clip(0, 1)[..., None]


def solid(size: int, paint: Paint) -> Canvas:
    """A canvas of one colour."""
    return np.broadcast_to(paint, (size, size, 3)).astype(np.float32)


def blend_over(canvas: Canvas, where: Plane, paint: Paint) -> None:
    """Blend `paint` into `canvas` in place, with opacity `where` in [0, 1] (or a boolean)."""
    canvas += (paint - canvas) * where.astype(np.float32)[..., None]


@cache
def pixel_grid(size: int) -> tuple[Plane, Plane]:
    """Pixel coordinates in [0, 1): `y` `(size, 1)` from the top, `x` `(1, size)`."""
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    return at[:, None], at[None, :]


def vertical_gradient(size: int, top: Paint, bottom: Paint) -> Canvas:
    """A vertical gradient from `top` to `bottom`."""
    y, _ = pixel_grid(size)
    return np.broadcast_to(mix(top, bottom, y), (size, size, 3)).astype(np.float32)


def disc(size: int, cy: float, cx: float, radius: float, soft: float = 0.01) -> Plane:
    """A filled circle with an edge of width `soft`, in fractions of the canvas."""
    y, x = pixel_grid(size)
    away = np.sqrt((y - cy) ** 2 + (x - cx) ** 2)
    return ((radius - away) / soft + 0.5).clip(0, 1)


def draw_box(canvas: Canvas, top: float, left: float, bottom: float, right: float, paint: Paint) -> None:
    """Fill a rectangle given in fractions of the canvas."""
    size = len(canvas)
    y0, x0, y1, x1 = (max(round(v * size), 0) for v in (top, left, bottom, right))
    canvas[y0:y1, x0:x1] = paint


def ridge(rng: np.random.Generator, size: int, base: float, height: float, cells: int, octaves: int = 3) -> Plane:
    """The region below a random skyline around `base` (from the top): `(size, size)` in [0, 1], with an edge one pixel
    wide."""
    y, _ = pixel_grid(size)
    line = base - height * (noise(rng, size, cells, 1, octaves)[0] - 0.5)
    return ((y - line[None, :]) * size + 0.5).clip(0, 1)
