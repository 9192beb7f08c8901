"""Sentences for pretraining: names, tags, templates and backgrounds, and the tokens they use."""

from __future__ import annotations

import numpy as np

from cliptune.data.emoji.background import BACKGROUND_NAMES

TEMPLATES = (
    "a photo of a {}",
    "a photo of a {}.",
    "a photo of the {}",
    "a photo of {}",
    "an image of a {}",
    "a picture of a {}",
    "a {}",
    "the {}",
    "{}",
    "a drawing of a {}",
    "an illustration of a {}",
    "an emoji of a {}",
    "a cartoon of a {}",
    "an icon of a {}",
    "a small {}",
    "a big {}",
    "a bright photo of a {}",
    "a dark photo of a {}",
    "a close-up photo of a {}",
    "a good photo of a {}",
    "a bad photo of a {}",
    "a cropped photo of a {}",
    "a rendering of a {}",
    "a clip art of a {}",
    "a sticker of a {}",
    "a photo of one {}",
    "a photo of my {}",
    "itap of a {}.",
    "a low resolution photo of a {}",
)
PLACES = (
    "{} on {bg}",
    "{} in front of {bg}",
    "{}, {bg} in the background",
    "{} with {bg} behind",
    "{} with a {bg} background",
    "{} and {bg}",
    "{} in the {bg}",
    "{} on the {bg}",
    "{} by the {bg}",
)
BACKGROUND_TEMPLATES = (
    "a photo of a {}",
    "a photo of a {}.",
    "a photo of {}",
    "a photo of the {}",
    "{}",
    "a {}",
    "a background of {}",
    "a {} background",
    "an image of {}",
    "a picture of a {}",
    "only {}",
    "an empty {}",
    "a photo of a {} background",
)
SUITS = {
    "nature": ("grass", "forest", "lake", "sand", "mountain", "rock", "sea", "sky"),
    "food": ("wood", "fabric", "grass"),
    "travel": ("road", "street", "city", "sky", "railway", "bridge", "sea"),
    "activities": ("grass", "house", "street", "snow", "night sky"),
    "objects": ("wood", "fabric", "brick wall", "keyboard", "building", "house"),
}


def caption(rng: np.random.Generator, row: dict, background: str | None, recipe: dict) -> str:
    """A sentence about a class on a background; None is a flat colour, which is never mentioned."""
    kind, names, tags = rng.random(), row["names"], row["tags"]
    name = names[int(rng.integers(len(names)))]
    tag = tags[int(rng.integers(len(tags)))] if tags else ""
    if tags and kind < recipe["tags_only"]:
        name = " ".join(rng.permutation(tags)[:3])
    elif tags and kind < recipe["tags_only"] + recipe["name_and_tag"]:
        name = f"{name}, {tag}" if rng.random() < 0.5 else f"{tag} {name}"
    text = TEMPLATES[int(rng.integers(len(TEMPLATES)) * (rng.random() < 0.75))].format(name)
    if background is not None and rng.random() < recipe["mention"]:
        text = PLACES[int(rng.integers(len(PLACES)))].format(text.rstrip("."), bg=background)
    return text


def background_caption(rng: np.random.Generator, background: str) -> str:
    """A sentence about a background alone."""
    return BACKGROUND_TEMPLATES[int(rng.integers(len(BACKGROUND_TEMPLATES)))].format(background)


def every_text(rows: list[dict]) -> list[str]:
    """Texts that together contain every token of any caption."""
    texts = (
        [t.format("x") for t in TEMPLATES + BACKGROUND_TEMPLATES]
        + [p.format("x", bg="y") for p in PLACES]
        + list(BACKGROUND_NAMES)
    )
    for row in rows:
        texts += [*row["names"], *row["tags"], f"{row['names'][0]}, x."]
    return texts
