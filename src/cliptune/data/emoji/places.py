"""Painters of places with a horizon. Each returns a canvas `(size, size, 3)` in [0, 1]."""

from __future__ import annotations

import numpy as np

from cliptune.data.emoji.painting import (
    Canvas,
    Plane,
    blend_over,
    draw_box,
    mix,
    noise,
    pixel_grid,
    random_colour,
    ridge,
    solid,
    vertical_gradient,
)
from cliptune.data.emoji.textures import grass, sky


def _day_sky(rng: np.random.Generator, size: int) -> Canvas:
    """The sky behind a place."""
    return vertical_gradient(size, random_colour(rng, (120, 175, 235), (150, 185, 225), (170, 195, 220)),
                    random_colour(rng, (210, 230, 248), (225, 230, 235)))  # fmt: skip


def _perspective_strip(size: int, horizon: float, near: float, far: float, middle: float = 0.5) -> Plane:
    """The strip of ground from half-width `near` at the bottom to `far` at the horizon: `(size, size)` bool."""
    y, x = pixel_grid(size)
    depth = ((y - horizon) / (1 - horizon)).clip(0, 1)
    return (y > horizon) & (np.abs(x - middle) < far + (near - far) * depth)


def sea(rng: np.random.Generator, size: int) -> Canvas:
    """Deep blue swell with white crests up to a high horizon."""
    y, _ = pixel_grid(size)
    canvas = _day_sky(rng, size)
    horizon = rng.uniform(0.18, 0.32)
    depth = ((y - horizon) / (1 - horizon)).clip(0, 1)
    swell = noise(rng, size, 4, 24, 3)
    low, high = random_colour(rng, (15, 60, 120), (20, 75, 130)), random_colour(rng, (50, 125, 185), (45, 120, 170))
    body = mix(low, high, (swell - 0.3) * 2)
    blend_over(body, (swell - 0.66).clip(0, 0.1) * 10 * depth, np.ones(3, np.float32))
    blend_over(canvas, np.broadcast_to(y > horizon, (size, size)), body)
    return canvas


def lake(rng: np.random.Generator, size: int) -> Canvas:
    """Still water that mirrors wooded hills; a strip of far shore."""
    shore = rng.uniform(0.38, 0.5)
    y, x = pixel_grid(size)
    canvas = _day_sky(rng, size)
    green = random_colour(rng, (60, 110, 70), (80, 120, 70), (70, 100, 90))
    blend_over(canvas, ridge(rng, size, shore - 0.14, 0.3, 4), green)
    edge = int(shore * size)
    mirror = canvas[:edge][::-1][: size - edge]
    below = np.concatenate([mirror, np.broadcast_to(canvas[:1], (max(size - edge - len(mirror), 0), size, 3))])
    tint = random_colour(rng, (90, 140, 180), (80, 130, 165))
    canvas[edge:] = 0.55 * below + 0.45 * tint + 0.12 * (noise(rng, size, 3, 30, 2)[edge:, :, None] - 0.5)
    blend_over(canvas, np.broadcast_to(np.abs(y - shore) < 0.012, (size, size)) & (x < 2), green * 0.6)
    return canvas


def forest(rng: np.random.Generator, size: int) -> Canvas:
    """Trunks in front of dark foliage."""
    dark, light = random_colour(rng, (15, 50, 25), (20, 60, 25)), random_colour(rng, (60, 120, 50), (85, 130, 55))
    canvas = mix(dark, light, noise(rng, size, 10, 10, 3) * 1.6 - 0.4)
    y, x = pixel_grid(size)
    for _ in range(int(rng.integers(5, 9))):
        at, half = rng.random(), rng.uniform(0.012, 0.04)
        trunk = random_colour(rng, (85, 60, 40), (65, 48, 38), (105, 85, 65))
        shade = trunk * (1 - 0.5 * ((x - at) / half).clip(-1, 1)[..., None] * np.float32(0.6))
        blend_over(canvas, np.broadcast_to(np.abs(x - at) < half, (size, size)), shade.astype(np.float32))
    leaves = noise(rng, size, 12, 12, 2)
    crown = ((leaves - 0.55) * 8).clip(0, 1) * (y < rng.uniform(0.25, 0.45))
    blend_over(canvas, crown, random_colour(rng, (45, 105, 40), (70, 120, 45)))
    blend_over(canvas, ridge(rng, size, 0.9, 0.1, 8), random_colour(rng, (60, 75, 35), (85, 70, 40)))
    return canvas


def mountain(rng: np.random.Generator, size: int) -> Canvas:
    """Snow-capped grey peaks in front of a sky, green at the foot."""
    y, _ = pixel_grid(size)
    canvas = _day_sky(rng, size)
    far = random_colour(rng, (140, 155, 185), (150, 160, 180))
    blend_over(canvas, ridge(rng, size, 0.38, 0.6, 4, 4), far)
    peaks = ridge(rng, size, 0.5, 0.85, 3, 5)
    low, high = random_colour(rng, (75, 75, 90), (90, 85, 85)), random_colour(rng, (135, 130, 135))
    blend_over(canvas, peaks, mix(low, high, noise(rng, size, 8)))
    snowline = 0.48 + 0.3 * (noise(rng, size, 10, 4, 3) - 0.5)
    blend_over(canvas, peaks * (y < snowline), np.full(3, 0.96, np.float32))
    blend_over(canvas, ridge(rng, size, 0.86, 0.12, 4), random_colour(rng, (80, 120, 70), (95, 125, 75)))
    return canvas


def _tower(canvas: Canvas, rng: np.random.Generator, left: float, right: float, top: float, step: float) -> None:
    """One block with a grid of windows, from `top` to the bottom of the canvas."""
    wall = random_colour(rng, (150, 150, 155), (110, 120, 140), (175, 160, 145), (90, 95, 110), spread=18)
    glass = random_colour(rng, (60, 80, 110), (235, 215, 140), (45, 55, 75))
    draw_box(canvas, top, left, 1, right, wall)
    row = top + step * 0.5
    while row < 1:
        column = left + step * 0.4
        while column + step * 0.5 < right:
            draw_box(canvas, row, column, row + step * 0.5, column + step * 0.5, glass)
            column += step
        row += step


def building(rng: np.random.Generator, size: int) -> Canvas:
    """One facade that fills the image, with storeys of tall windows."""
    wall = random_colour(rng, (200, 190, 170), (170, 165, 160), (185, 150, 125), (215, 210, 200))
    canvas = solid(size, wall) * (0.94 + 0.12 * noise(rng, size, 8)[..., None])
    rows, columns = int(rng.integers(4, 6)), int(rng.integers(4, 6))
    glass, frame = random_colour(rng, (70, 100, 130), (50, 70, 95), (120, 155, 180)), wall * 0.55
    for r in range(rows):
        draw_box(canvas, (r + 0.95) / rows, 0, (r + 1) / rows, 1, wall * 0.8)
        for c in range(columns):
            top, left = (r + 0.2) / rows, (c + 0.25) / columns
            foot, right = (r + 0.75) / rows, (c + 0.75) / columns
            draw_box(canvas, top - 0.015, left - 0.015, foot + 0.015, right + 0.015, frame)
            draw_box(canvas, top, left, foot, right, glass * np.float32(rng.uniform(0.8, 1.2)))
            draw_box(canvas, top, (left + right) / 2 - 0.006, foot, (left + right) / 2 + 0.006, frame)
    return canvas


def city(rng: np.random.Generator, size: int) -> Canvas:
    """A skyline of towers of many heights."""
    canvas = _day_sky(rng, size)
    for base, step in ((0.2, 0.045), (0.42, 0.06)):
        left = -rng.uniform(0, 0.1)
        while left < 1:
            wide = rng.uniform(0.1, 0.2)
            _tower(canvas, rng, left, left + wide, base + rng.uniform(0, 0.3), step)
            left += wide + rng.uniform(-0.01, 0.03)
    return canvas


def road(rng: np.random.Generator, size: int) -> Canvas:
    """Grey asphalt with a dashed centre line, narrowing through fields."""
    y, x = pixel_grid(size)
    horizon = rng.uniform(0.25, 0.38)
    canvas = _day_sky(rng, size)
    low, high = random_colour(rng, (100, 130, 60), (150, 140, 85)), random_colour(rng, (140, 165, 85), (185, 170, 110))
    blend_over(canvas, np.broadcast_to(y > horizon, (size, size)), mix(low, high, noise(rng, size, 6)))
    middle = rng.uniform(0.42, 0.58)
    asphalt = random_colour(rng, (85, 85, 90), (70, 70, 75)) * (0.9 + 0.2 * noise(rng, size, 30)[..., None])
    blend_over(canvas, _perspective_strip(size, horizon, 0.62, 0.03, middle), asphalt)
    depth = ((y - horizon) / (1 - horizon)).clip(0, 1)
    for side in (-1, 1):
        edge = (y > horizon) & (np.abs(x - middle - side * (0.02 + 0.52 * depth)) < 0.004 + 0.018 * depth)
        blend_over(canvas, edge, np.full(3, 0.92, np.float32))
    dash = (1 / ((y - horizon).clip(0.02, 1) + 0.08) * 1.6 + rng.random()) % 1 < 0.55
    centre_line = _perspective_strip(size, horizon, 0.03, 0.003, middle) & dash
    blend_over(canvas, centre_line, random_colour(rng, (240, 205, 80), (240, 240, 235)))
    return canvas


def street(rng: np.random.Generator, size: int) -> Canvas:
    """A road between two rows of house fronts, with pavements and a zebra crossing."""
    y, x = pixel_grid(size)
    horizon = rng.uniform(0.42, 0.5)
    canvas = _day_sky(rng, size)
    away = np.abs(x - 0.5)
    walls = np.broadcast_to(np.abs(y - horizon) < 0.05 + away * 1.25, (size, size)) & (away > 0.07)
    left = random_colour(rng, (190, 130, 100), (205, 180, 140), (170, 170, 165))
    right = random_colour(rng, (160, 120, 110), (215, 195, 165))
    front = np.where(x < 0.5, 0, 1)[..., None] * (right - left) + left
    blend_over(canvas, walls, np.broadcast_to(front, (size, size, 3)))
    u = np.log(away.clip(0.02, 1)) * 3.2
    v = (y - horizon) / (0.05 + away * 1.25) * 3
    windows = walls & ((u % 1) < 0.5) & ((v % 1) > 0.3) & ((v % 1) < 0.75) & (v < 1)
    blend_over(canvas, windows, random_colour(rng, (60, 75, 95), (90, 110, 130), (240, 220, 150)))
    ground = y > horizon + 0.03 + away * 0.55
    blend_over(canvas, np.broadcast_to(ground, (size, size)), random_colour(rng, (165, 160, 155), (180, 172, 160)))
    asphalt = _perspective_strip(size, horizon + 0.02, 0.5, 0.04)
    blend_over(canvas, asphalt, random_colour(rng, (80, 80, 86), (65, 66, 72)))
    near = rng.uniform(0.72, 0.8)
    crossing = asphalt & (y > near) & (y < near + 0.12) & ((x * 9 + rng.random()) % 1 < 0.5)
    blend_over(canvas, crossing, np.full(3, 0.93, np.float32))
    return canvas


def railway(rng: np.random.Generator, size: int) -> Canvas:
    """Two steel rails on sleepers in gravel, running to a vanishing point."""
    y, x = pixel_grid(size)
    horizon = rng.uniform(0.2, 0.32)
    canvas = _day_sky(rng, size)
    low, high = random_colour(rng, (95, 120, 65), (130, 125, 85)), random_colour(rng, (125, 150, 85))
    blend_over(canvas, np.broadcast_to(y > horizon, (size, size)), mix(low, high, noise(rng, size, 8)))
    middle = rng.uniform(0.44, 0.56)
    stones = rng.random((size, size, 1), dtype=np.float32)
    gravel = random_colour(rng, (150, 142, 135), (135, 130, 128)) * (0.7 + 0.5 * stones)
    blend_over(canvas, _perspective_strip(size, horizon, 0.6, 0.03, middle), gravel)
    depth = ((y - horizon) / (1 - horizon)).clip(0, 1)
    ties = (3.2 / (depth + 0.22) + rng.random()) % 1 < 0.45
    sleepers = _perspective_strip(size, horizon, 0.46, 0.02, middle) & ties
    blend_over(canvas, sleepers, random_colour(rng, (85, 60, 42), (70, 55, 45)))
    for side in (-1, 1):
        rail = (y > horizon) & (np.abs(x - middle - side * (0.012 + 0.3 * depth)) < 0.004 + 0.022 * depth)
        blend_over(canvas, rail, random_colour(rng, (205, 208, 215), spread=6))
        shade = (y > horizon) & (np.abs(x - middle - side * (0.014 + 0.325 * depth)) < 0.003 + 0.008 * depth)
        blend_over(canvas, shade, np.full(3, 0.2, np.float32))
    return canvas


def bridge(rng: np.random.Generator, size: int) -> Canvas:
    """A suspension bridge over water: towers, hanging cables, a deck."""
    y, x = pixel_grid(size)
    canvas = _day_sky(rng, size)
    deck = rng.uniform(0.55, 0.68)
    low, high = random_colour(rng, (50, 105, 150), (70, 120, 150)), random_colour(rng, (110, 160, 195))
    blend_over(canvas, np.broadcast_to(y > deck + 0.08, (size, size)), mix(low, high, noise(rng, size, 4, 24)))
    steel = random_colour(rng, (190, 65, 45), (120, 125, 135), (160, 60, 50), (85, 95, 110))
    left, right, top = rng.uniform(0.14, 0.22), rng.uniform(0.78, 0.86), rng.uniform(0.1, 0.2)
    span = (right - left) / 2
    sag = top + 0.02 + (deck - top - 0.06) * (1 - ((x - (left + right) / 2) / span) ** 2)
    outer = np.where(x < left, top + (left - x) * 2.2, top + (x - right) * 2.2)
    line = np.where((x >= left) & (x <= right), sag, outer)
    blend_over(canvas, np.abs(y - line) < 0.014, steel)
    blend_over(canvas, (y > line) & (y < deck) & ((x * 22) % 1 < 0.2), steel * 1.1)
    draw_box(canvas, deck, 0, deck + 0.05, 1, steel * 0.8)
    for at in (left, right):
        draw_box(canvas, top - 0.03, at - 0.025, 0.95, at + 0.025, steel)
    return canvas


def house(rng: np.random.Generator, size: int) -> Canvas:
    """The front of a cottage: gabled roof, door, windows, a lawn."""
    y, x = pixel_grid(size)
    canvas = sky(rng, size)
    blend_over(canvas, np.broadcast_to(y > 0.82, (size, size)), grass(rng, size))
    eaves, peak, half = rng.uniform(0.38, 0.46), rng.uniform(0.08, 0.16), rng.uniform(0.36, 0.43)
    wall = random_colour(rng, (240, 225, 195), (225, 200, 160), (200, 215, 225), (235, 180, 150))
    draw_box(canvas, eaves, 0.5 - half, 0.88, 0.5 + half, wall)
    roof = (y > peak) & (y < eaves) & (np.abs(x - 0.5) < (half + 0.06) * (y - peak) / (eaves - peak))
    tiled = random_colour(rng, (150, 60, 45), (110, 70, 55), (90, 90, 105)) * (0.85 + 0.3 * ((y * 30) % 1))[..., None]
    blend_over(canvas, roof, tiled)
    frame, glass = np.full(3, 0.97, np.float32), random_colour(rng, (110, 160, 200), (80, 120, 160))
    for at in (0.5 - half * 0.6, 0.5 + half * 0.6):
        draw_box(canvas, eaves + 0.1, at - 0.085, eaves + 0.28, at + 0.085, frame)
        draw_box(canvas, eaves + 0.115, at - 0.07, eaves + 0.265, at + 0.07, glass)
        draw_box(canvas, eaves + 0.1, at - 0.008, eaves + 0.28, at + 0.008, frame)
    draw_box(canvas, eaves + 0.14, 0.44, 0.88, 0.56, random_colour(rng, (120, 60, 40), (60, 90, 70), (50, 70, 120)))
    return canvas
