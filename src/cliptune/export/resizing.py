"""The evaluation view of a backbone as lines of Python with Pillow, and in words."""

from __future__ import annotations

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.transforms import ENLARGEMENT

#: Reads `file` as cliptune does: upright, transparency on white.
OPEN = (
    'image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")',
    'image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")',
)


def resize_lines(preprocess: Preprocess, preset: str) -> tuple[str, ...]:
    """Lines that turn the PIL image `image` into the evaluation view of the training preset `preset`, to the bit."""
    height, width = preprocess.size
    kind = f"Image.Resampling.{preprocess.interpolation.upper()}"
    if preset == "coop-2021":
        large = int(ENLARGEMENT * width), int(ENLARGEMENT * height)
        return (f"image = image.resize(({width}, {height}), {kind}).resize({large}, {kind})", *_crop(height, width))
    if preprocess.resize_mode == "squash":
        return (f"image = image.resize(({width}, {height}), {kind})",)
    if preprocess.resize_mode == "longest":
        fill = preprocess.fill if isinstance(preprocess.fill, int) else tuple(preprocess.fill)
        return (
            f"ratio = max(image.width / {width}, image.height / {height})",
            f"image = image.resize((round(image.width / ratio), round(image.height / ratio)), {kind})",
            f'page = Image.new("RGB", ({width}, {height}), {(fill,) * 3 if isinstance(fill, int) else fill})',
            f"page.paste(image, (({width} - image.width) // 2, ({height} - image.height) // 2))",
            "image = page",
        )
    if height == width:
        return (
            "shorter = min(image.size)",
            f"image = image.resize([{height} * side // shorter for side in image.size], {kind})",
            *_crop(height, width),
        )
    return (
        f"ratio = min(image.width / {width}, image.height / {height})",
        "image = image.resize((round(image.width / ratio), round(image.height / ratio)), Image.Resampling.BICUBIC)",
        *_crop(height, width),
    )


def resize_words(preprocess: Preprocess, preset: str) -> str:
    """What `resize_lines` does, in words."""
    (height, width), kind = preprocess.size, preprocess.interpolation
    if preset == "coop-2021":
        large = f"{int(ENLARGEMENT * height)} x {int(ENLARGEMENT * width)}"
        return f"resize to {height} x {width} whatever the aspect ratio ({kind}), then to {large}, and crop the centre"
    if preprocess.resize_mode == "squash":
        return f"resize to {height} x {width} whatever the aspect ratio ({kind})"
    if preprocess.resize_mode == "longest":
        return f"resize until the image fits into {height} x {width} ({kind}), and pad with {preprocess.fill}"
    kind = kind if height == width else "bicubic"
    return f"resize until the image covers {height} x {width} ({kind}), and crop the centre"


def _crop(height: int, width: int) -> tuple[str, ...]:
    return (
        f"left, top = round((image.width - {width}) / 2), round((image.height - {height}) / 2)",
        f"image = image.crop((left, top, left + {width}, top + {height}))",
    )
