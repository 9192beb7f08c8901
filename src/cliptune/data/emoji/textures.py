"""Painters of surfaces and skies. Each returns a canvas `(size, size, 3)` in [0, 1]."""

from __future__ import annotations

import numpy as np

from cliptune.data.emoji.painting import (
    Canvas,
    blend_over,
    disc,
    draw_box,
    mix,
    noise,
    pixel_grid,
    random_colour,
    solid,
    vertical_gradient,
)


def sky(rng: np.random.Generator, size: int) -> Canvas:
    """Clear blue, lighter towards the bottom, with wisps of cloud."""
    canvas = vertical_gradient(
        size, random_colour(rng, (60, 130, 220), (80, 150, 235)), random_colour(rng, (150, 200, 245), (175, 215, 250))
    )
    wisp = (noise(rng, size, 2, 6) - 0.62) * 2.5
    return mix(canvas, np.ones(3, np.float32), wisp)


def cloud(rng: np.random.Generator, size: int) -> Canvas:
    """White cumulus clouds with grey undersides and some blue sky."""
    blue = random_colour(rng, (110, 165, 225), (130, 175, 225), (140, 160, 190))
    body = noise(rng, size, 3, 4, 4)
    canvas = mix(solid(size, blue), random_colour(rng, (245, 246, 250), spread=5), (body - 0.38) * 5)
    return mix(canvas, random_colour(rng, (165, 172, 188)), (noise(rng, size, 3, 5, 3) - 0.5) * 3)


def sunset(rng: np.random.Generator, size: int) -> Canvas:
    """Violet over orange over yellow, with bars of cloud and a low sun."""
    y, _ = pixel_grid(size)
    canvas = vertical_gradient(
        size, random_colour(rng, (75, 50, 120), (110, 60, 120)), random_colour(rng, (250, 120, 60), (240, 100, 70))
    )
    canvas = mix(
        canvas, random_colour(rng, (255, 200, 90), spread=6), (y - 0.55) * 2 + np.zeros((size, size), np.float32)
    )
    blend_over(
        canvas, (noise(rng, size, 2, 12) - 0.58).clip(0, 0.2) * 4, random_colour(rng, (150, 60, 90), (120, 50, 100))
    )
    blend_over(canvas, disc(size, rng.uniform(0.45, 0.85), rng.uniform(0.2, 0.8), rng.uniform(0.06, 0.12), 0.03),
        random_colour(rng, (255, 235, 160), spread=4))  # fmt: skip
    return canvas


def night_sky(rng: np.random.Generator, size: int) -> Canvas:
    """Blue-black with stars and a faint band of light."""
    canvas = vertical_gradient(
        size, random_colour(rng, (6, 8, 28), (10, 10, 40), spread=4), random_colour(rng, (25, 30, 75), (40, 30, 80))
    )
    canvas = mix(canvas, random_colour(rng, (80, 80, 130), (95, 70, 130)), (noise(rng, size, 3) - 0.55) * 1.5)
    stars = rng.random((size, size), dtype=np.float32)
    for cut, glow in ((0.992, 0.6), (0.997, 1.0)):
        blend_over(canvas, (stars > cut) * np.float32(glow), np.ones(3, np.float32))
    return canvas


def grass(rng: np.random.Generator, size: int) -> Canvas:
    """Green blades: vertically stretched noise."""
    dark, light = (
        random_colour(rng, (30, 95, 30), (45, 105, 30)),
        random_colour(rng, (120, 185, 60), (105, 180, 70), (140, 190, 70)),
    )
    blades = noise(rng, size, 40, 8, 2)
    patches = noise(rng, size, 3, 3, 2)
    return mix(dark, light, (blades - 0.5) * 1.8 + 0.25 + patches * 0.5)


def sand(rng: np.random.Generator, size: int) -> Canvas:
    """Pale yellow grain with wind ripples."""
    y, x = pixel_grid(size)
    bent = y * rng.uniform(9, 16) + x * rng.uniform(-2, 2) + noise(rng, size, 3, 3, 2) * rng.uniform(2, 4)
    ripple = 0.5 + 0.5 * np.sin(2 * np.pi * bent)
    grain = rng.random((size, size), dtype=np.float32)
    low, high = (
        random_colour(rng, (205, 170, 110), (215, 180, 125)),
        random_colour(rng, (245, 222, 170), (240, 215, 160)),
    )
    return mix(low, high, 0.55 * ripple + 0.45 * grain)


def snow(rng: np.random.Generator, size: int) -> Canvas:
    """White drifts with blue shade and falling flakes."""
    drift = noise(rng, size, 2, 3, 3)
    shade = random_colour(rng, (195, 212, 235), (205, 215, 235), spread=6)
    canvas = mix(shade, random_colour(rng, (248, 250, 255), spread=3), (drift - 0.35) * 3)
    blend_over(canvas, (rng.random((size, size), dtype=np.float32) > 0.985) * np.float32(0.9), np.ones(3, np.float32))
    return canvas


def water(rng: np.random.Generator, size: int) -> Canvas:
    """Clear turquoise seen from above, with a net of bright caustic lines."""
    net = np.abs(noise(rng, size, 6, 6, 2) - 0.5) + np.abs(noise(rng, size, 7, 7, 2) - 0.5)
    low, high = random_colour(rng, (30, 140, 180), (40, 160, 190)), random_colour(rng, (130, 220, 230), (110, 205, 225))
    canvas = mix(low, high, noise(rng, size, 3))
    blend_over(canvas, (0.13 - net).clip(0, 0.1) * 8, np.full(3, 0.97, np.float32))
    return canvas


def rock(rng: np.random.Generator, size: int) -> Canvas:
    """Grey stone with facets and dark cracks."""
    warm = random_colour(rng, (120, 115, 110), (105, 105, 112), (135, 122, 108))
    rough = noise(rng, size, 6, 6, 4)
    canvas = mix(warm * 0.55, warm * 1.45, (rough - 0.5) * 2.4 + 0.5)
    cracks = np.abs(noise(rng, size, 4, 4, 3) - 0.5)
    blend_over(canvas, (0.025 - cracks).clip(0, 0.025) * 36, warm * 0.25)
    return canvas


def brick_wall(rng: np.random.Generator, size: int) -> Canvas:
    """Courses of red brick in pale mortar."""
    y, x = pixel_grid(size)
    rows = int(rng.integers(8, 13))
    course = np.floor(y * rows)
    along = x * rows / 2 + (course % 2) * 0.5 + rng.random()
    cell = rng.random((rows, rows * 2), dtype=np.float32)[course.astype(int), np.floor(along).astype(int)]
    red = random_colour(rng, (165, 75, 55), (150, 65, 50), (180, 95, 70))
    canvas = red * (0.72 + 0.5 * cell[..., None]) * (0.88 + 0.24 * noise(rng, size, 16)[..., None])
    joint = ((y * rows) % 1 < 0.14) | (along % 1 < 0.07)
    blend_over(canvas, joint, random_colour(rng, (205, 195, 180), (190, 185, 175)))
    return canvas


def wood(rng: np.random.Generator, size: int) -> Canvas:
    """Brown planks with grain along them."""
    _, x = pixel_grid(size)
    planks = int(rng.integers(3, 6))
    light = random_colour(rng, (170, 115, 65), (190, 135, 80), (140, 90, 50))
    grain = noise(rng, size, 36, 2, 2) * 0.6 + 0.4 * (0.5 + 0.5 * np.sin(40 * noise(rng, size, 6, 2, 1)))
    tone = rng.uniform(0.85, 1.1, planks + 1).astype(np.float32)[np.floor(x * planks).astype(int)]
    canvas = mix(light * 0.6, light * 1.1, grain) * tone[..., None]
    blend_over(canvas, np.broadcast_to((x * planks) % 1 < 0.05, (size, size)), light * 0.3)
    return canvas


def fabric(rng: np.random.Generator, size: int) -> Canvas:
    """Plaid or striped cloth with a visible weave."""
    y, x = pixel_grid(size)
    base = random_colour(rng, (190, 60, 80), (70, 90, 160), (225, 215, 195), (90, 140, 110), (150, 90, 160), spread=20)
    stripe = random_colour(rng, (240, 235, 225), (40, 45, 80), (220, 170, 70), spread=15)
    canvas = solid(size, base)
    count = rng.integers(3, 7)
    bar_x = ((x * count) % 1 < 0.35) * np.float32(0.45)
    bar_y = ((y * count) % 1 < 0.35) * np.float32(0.45 if rng.random() < 0.75 else 0)
    blend_over(canvas, bar_x + np.zeros((size, 1), np.float32), stripe)
    blend_over(canvas, bar_y + np.zeros((1, size), np.float32), stripe)
    rows, columns = np.arange(size)[:, None], np.arange(size)[None, :]
    weave = np.where((rows + columns) % 4 < 2, 1.06, 0.9).astype(np.float32)
    return canvas * (weave * (0.9 + 0.2 * noise(rng, size, 4)))[..., None]


def keyboard(rng: np.random.Generator, size: int) -> Canvas:
    """Rows of square keys seen from above, each with a mark."""
    dark = rng.random() < 0.6
    body = (
        random_colour(rng, (35, 36, 42), (60, 62, 68)) if dark else random_colour(rng, (180, 182, 188), (200, 200, 205))
    )
    key = random_colour(rng, (75, 78, 86), (95, 98, 106)) if dark else random_colour(rng, (240, 240, 243), spread=6)
    mark = np.full(3, 0.92 if dark else 0.25, np.float32)
    canvas = solid(size, body)
    rows = int(rng.integers(5, 8))
    step, shift = 1 / rows, rng.random()
    for r in range(rows):
        left = -step * ((r * 0.35 + shift) % 1)
        while left < 1:
            wide = step * (1.6 if rng.random() < 0.1 else 1)
            draw_box(canvas, r * step + 0.012, left + 0.012, (r + 1) * step - 0.012, left + wide - 0.012, key)
            draw_box(canvas, (r + 0.3) * step, left + 0.3 * step, (r + 0.5) * step, left + 0.5 * step, mark)
            left += wide
    return canvas
