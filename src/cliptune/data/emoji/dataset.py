"""The built-in dataset: sprites of 120 classes on 24 procedural backgrounds, with exact masks."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from cliptune import checks
from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.emoji.atlas import CLASS_LISTS, STYLES, list_sprites, load_tiles
from cliptune.data.emoji.background import BACKGROUND_NAMES, keyed_generator, paint_background
from cliptune.data.emoji.compositing import affine_matrices, alpha_over, warp_sprites
from cliptune.errors import UserError
from cliptune.types import DecodedImage, Example

if TYPE_CHECKING:
    import torch

MAX_ROTATION = np.deg2rad(15)
COLOUR_JITTER = 0.12
GREY = 128
CANVASES = 16
# Canvases are numbered. The splits and the pretraining (1,000,000 and up) share no numbers.
FIRST_CANVAS = {"train": 0, "val": 1000, "test": 2000}
# Images kept in memory, as every run of a sweep reads the same ones: 0.25 GiB at 64 pixels.
MAX_STORED_IMAGES = 1 << 14
BACKGROUND_MODES = ("random", "same", "swap", "none")
# Increased when an example's key no longer gives the same pixels.
RENDERING_VERSION = 1


@cache
def _uniform_numbers(purpose: str, seed: int, split: str, name: str, count: int) -> np.ndarray:
    """Uniform numbers `(count, 9)`, one row per example. A larger `count` starts with the rows of a smaller one."""
    return keyed_generator("emoji", purpose, seed, split, name).random((count, 9))


class Emoji(Dataset):
    """Sprites on procedural backgrounds. Nothing is downloaded.

    Every class has a home background. The test set has random backgrounds. `variants` renders it in the same poses on
    the home background, on another class's background and on plain grey. The first half of the class names is base, the
    second half novel.

    Args:
        styles: Sprite styles; the examples of a class alternate between them.
        rho: Probability that a training image has its class's home background instead of a random other one.
        seed: Seed of the poses and backgrounds of all splits.
        scale: Range of the sprite's side as a fraction of the image's.
        image_size: Side of the images in pixels.
        classes: "benchmark", or "validation" for the separate classes on which settings are chosen.
        test_per_class: Number of test images per class.
        train_per_class: Number of training images per class.
        val_per_class: Number of validation images per class.

    Raises `UserError` for a value out of range.
    """

    name = "emoji"
    image_kind = "drawings"

    def __init__(
        self,
        *,
        styles: tuple[str, ...] = ("fluent-3d", "fluent-flat"),
        rho: float = 1.0,
        seed: int = 0,
        scale: tuple[float, float] = (0.35, 0.7),
        image_size: int = 64,
        classes: str = "benchmark",
        test_per_class: int = 16,
        train_per_class: int = 32,
        val_per_class: int = 4,
    ) -> None:
        self.styles, self.rho, self.seed, self.scale = tuple(styles), float(rho), seed, tuple(scale)
        self.image_size, self.classes = image_size, classes
        self.per_class = {"train": train_per_class, "val": val_per_class, "test": test_per_class}
        self._check()
        self.content_id = (
            f"drawings {RENDERING_VERSION}, {classes}, {image_size} pixels, {self.scale}, {seed}, {self.per_class}"
        )
        rows = list_sprites(classes)
        self.classnames = tuple(row.name for row in rows)
        self.groups = tuple(row.group for row in rows)
        self.homes = tuple(row.home for row in rows)
        self.backgrounds = BACKGROUND_NAMES
        self._rendered: dict[str, DecodedImage] = {}
        self._tile = {row.name: row.tile for row in rows}

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig | None = None) -> Emoji:
        """Parse options such as "rho=0.9,styles=fluent-3d+noto,classes=validation"; "" is the default.

        Raises `UserError` for an unknown option or an invalid value.
        """
        options: dict[str, object] = {}
        for part in filter(None, (p.strip() for p in argument.split(","))):
            name, equals, value = (s.strip() for s in part.partition("="))
            if name not in _PARSERS or not equals:
                raise UserError(f"emoji has no option {part!r}: write name=value with one of {', '.join(_PARSERS)}")
            try:
                options[name] = _PARSERS[name](value)
            except ValueError:
                raise UserError(f"emoji cannot use {part!r}: write {name}={_EXAMPLES[name]}, for example") from None
        return cls(**options)  # type: ignore[arg-type]

    def examples(self, split: str) -> list[Example]:
        """All examples of a split, class by class. Backgrounds follow `rho` except in "test"."""
        if split not in self.per_class:
            raise UserError(f"emoji has no split {split!r}: choose one of {', '.join(self.per_class)}")
        return self._list(split, "random" if split == "test" else "rho", self.styles)

    def variants(self) -> dict[str, list[Example]]:
        """The test set in the same poses on home backgrounds ("same"), other classes' ("swap") and grey ("none")."""
        return {mode: self._list("test", mode, self.styles) for mode in BACKGROUND_MODES if mode != "random"}

    def domains(self) -> tuple[str, ...]:
        """The bundled styles."""
        return STYLES

    def domain(self, name: str) -> list[Example]:
        """The test set in the same poses with all sprites in one style. Raises `UserError` for an unknown style."""
        if name not in STYLES:
            raise UserError(f"emoji has no style {name!r}: choose among {', '.join(STYLES)}")
        return self._list("test", "random", (name,))

    def shifted(self) -> tuple[str, ...]:
        """The styles that are not trained on."""
        return tuple(style for style in STYLES if style not in self.styles)

    def read(self, example: Example) -> DecodedImage:
        """Render one example: uint8 `(3, image_size, image_size)` and its exact soft mask."""
        rendered = self._rendered.get(example.key)
        if rendered is None:
            image, mask = alpha_over(*self.layers(example))
            rendered = DecodedImage(image[0], mask[0])
            if len(self._rendered) < MAX_STORED_IMAGES:
                self._rendered[example.key] = rendered
        return rendered

    def layers(self, example: Example) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The arguments of `compositing.alpha_over` for one example, as a batch of one."""
        import torch

        style, name, place_in_split, _ = example.key.split("/")
        split, number = place_in_split.split("-")
        index, size = int(number), self.image_size
        u = _uniform_numbers("pose", self.seed, split, name, self.per_class[split])[index]
        low, high = self.scale
        side = low + (high - low) * u[0]
        flip, (x, y) = 1 if u[2] < 0.5 else -1, (1 - side) * (2 * u[3:5] - 1)
        pose = np.array([[side, MAX_ROTATION * (2 * u[1] - 1), flip, x, y]])
        full, half = load_tiles(style)
        # Below half size, bilinear sampling would skip pixels of the full-size sprite.
        source = full if side * size >= 36 else half
        sprite = warp_sprites(source[self._tile[name]][None], affine_matrices(pose), size)
        tint = torch.from_numpy(1 + COLOUR_JITTER * (2 * u[5:8] - 1)).float()[None]
        v = _uniform_numbers("background", self.seed, split, name, self.per_class[split])[index]
        shade = torch.from_numpy(1 + COLOUR_JITTER * (2 * v[2:5] - 1)).float()[None]
        return sprite, tint, self._window(example.background, split, v[5:])[None], shade

    def _window(self, background: str | None, split: str, w: np.ndarray) -> torch.Tensor:
        """A random crop of a canvas of `background`, `(3, size, size)`, chosen by the numbers `w` `(4,)` in [0, 1)."""
        import torch

        size = self.image_size
        if background is None:
            return torch.full((3, size, size), GREY, dtype=torch.uint8)
        wide = size * 3 // 2
        canvas = paint_background(background, FIRST_CANVAS[split] + int(w[0] * CANVASES), wide)
        top, left = (int(x * (wide - size + 1)) for x in w[1:3])
        window = canvas[:, top : top + size, left : left + size]
        return window.flip(2) if w[3] < 0.5 else window

    def _list(self, split: str, mode: str, styles: tuple[str, ...]) -> list[Example]:
        """The examples of a split with the backgrounds of one mode."""
        count, out = self.per_class[split], []
        for label, name in enumerate(self.classnames):
            home = self.homes[label]
            others = [b for b in BACKGROUND_NAMES if b != home]
            numbers = _uniform_numbers("background", self.seed, split, name, count)[:, :2].tolist()
            for index, (u, v) in enumerate(numbers):
                background = self._background(mode, home, others, u, v)
                style = styles[index % len(styles)]
                key = f"{style}/{name}/{split}-{index:04d}/{background or 'none'}"
                out.append(Example(key=key, label=label, background=background, style=style))
        return out

    def _background(self, mode: str, home: str, others: list[str], u: float, v: float) -> str | None:
        """The background of one example, None for plain grey. u, v: Random numbers in [0, 1)."""
        other = others[int(v * len(others))]
        match mode:
            case "none":
                return None
            case "same":
                return home
            case "swap":
                return other
            case "random":
                return BACKGROUND_NAMES[int(v * len(BACKGROUND_NAMES))]
        return home if u < self.rho else other

    def _check(self) -> None:
        """Raise `UserError` for a value out of range."""
        unknown = [s for s in self.styles if s not in STYLES]
        if unknown or not self.styles:
            raise UserError(f"emoji has no style {'+'.join(unknown)!r}: choose among {', '.join(STYLES)}")
        if self.classes not in CLASS_LISTS:
            raise UserError(f"emoji has no classes {self.classes!r}: choose one of {', '.join(CLASS_LISTS)}")
        checks.require(0 <= self.rho <= 1, "rho", self.rho, "from 0 to 1")
        is_range = len(self.scale) == 2 and 0.1 <= self.scale[0] <= self.scale[1] <= 1
        checks.require(is_range, "scale", self.scale, "two numbers, 0.1 <= low <= high <= 1")
        checks.require(16 <= self.image_size <= 512, "image_size", self.image_size, "from 16 to 512 pixels")
        for split, count in self.per_class.items():
            checks.require(0 <= count <= 9999, f"{split}_per_class", count, "from 0 to 9999")


def _pair(text: str) -> tuple[float, float]:
    """Parse two numbers such as "0.25+0.5"."""
    low, high = text.split("+")
    return float(low), float(high)


_PARSERS = {
    "styles": lambda text: tuple(text.split("+")),
    "rho": float,
    "seed": int,
    "scale": _pair,
    "image_size": int,
    "classes": str,
    "test_per_class": int,
    "train_per_class": int,
    "val_per_class": int,
}
_EXAMPLES = {
    "rho": "0.9",
    "seed": "0",
    "scale": "0.35+0.7",
    "image_size": "64",
    "test_per_class": "16",
    "train_per_class": "32",
    "val_per_class": "4",
}
