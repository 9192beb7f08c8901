"""The bundled dataset: paired poses, exact masks, backgrounds per test mode, and error messages."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from cliptune.data.emoji.atlas import CLASS_LISTS, COLUMNS, STYLES, TILE_SIZE, list_sprites, load_tiles
from cliptune.data.emoji.background import BACKGROUND_NAMES
from cliptune.data.emoji.compositing import alpha_over
from cliptune.data.emoji.dataset import FIRST_CANVAS, Emoji
from cliptune.errors import UserError

RECORDED = [(51.8, 52.4), (143.9, 26.7), (193.0, 14.3), (162.9, 54.8), (69.4, 18.8)]


@pytest.fixture(scope="module")
def emoji():
    return Emoji(test_per_class=4, train_per_class=8)


def some(examples, step=37):
    return examples[::step]


def pose_of(example):
    """The part of an example that images share if only their backgrounds or styles differ."""
    return example.key.split("/")[1:3]


# The classes


@pytest.mark.parametrize("classes, count", [("benchmark", 120), ("validation", 48)])
def test_base_and_novel_classes_are_balanced_in_each_group(classes, count):
    rows = list_sprites(classes)
    assert len(rows) == len({row.name for row in rows}) == count
    base, novel = rows[: count // 2], rows[count // 2 :]
    assert {row.split for row in base} == {"base"} and {row.split for row in novel} == {"novel"}
    assert Counter(row.group for row in base) == Counter(row.group for row in novel)
    assert all(len(row.name.split()) <= 2 and row.name == row.name.lower() for row in rows)


def test_validation_has_other_classes_than_the_benchmark():
    assert not {r.name for r in list_sprites("benchmark")} & {r.name for r in list_sprites("validation")}


@pytest.mark.parametrize("classes", CLASS_LISTS)
def test_each_half_has_typical_classes_for_every_background(classes):
    rows = list_sprites(classes)
    assert {r.home for r in rows[: len(rows) // 2]} == {r.home for r in rows[len(rows) // 2 :]} == set(BACKGROUND_NAMES)


@pytest.mark.parametrize("style", STYLES)
def test_every_cutout_fills_its_tile(style):
    full, half = load_tiles(style)
    assert full.shape[1:] == (4, TILE_SIZE, TILE_SIZE) and half.shape[1:] == (4, TILE_SIZE // 2, TILE_SIZE // 2)
    assert len(full) % COLUMNS == 0
    used = full[: sum(len(list_sprites(c)) for c in CLASS_LISTS), 3]
    # A crop to the visible part touches two opposite edges.
    across = (used > 0.05).any(1).sum(1)
    down = (used > 0.05).any(2).sum(1)
    assert (torch.maximum(across, down) >= TILE_SIZE - 2).all()


# The examples


def test_counts_labels_and_keys(emoji):
    train, test, val = (emoji.examples(s) for s in ("train", "test", "val"))
    assert (len(train), len(test), len(val)) == (120 * 8, 120 * 4, 120 * 4)
    assert [e.label for e in test] == [c for c in range(120) for _ in range(4)]
    keys = [e.key for e in train + test + val]
    assert len(keys) == len(set(keys))
    assert all(e.key.split("/")[1] == emoji.classnames[e.label] for e in train)
    assert Counter(e.style for e in train) == {"fluent-3d": 480, "fluent-flat": 480}


def test_examples_are_reproducible(emoji):
    assert emoji.examples("train") == Emoji(test_per_class=4, train_per_class=8).examples("train")
    other = Emoji(test_per_class=4, train_per_class=8, seed=1)
    assert [e.background for e in emoji.examples("test")] != [e.background for e in other.examples("test")]


def test_a_larger_pool_starts_with_the_smaller_one(emoji):
    large = Emoji(test_per_class=6)
    first = [e for e in large.examples("test") if int(e.key.split("-")[-1].split("/")[0]) < 4]
    assert first == emoji.examples("test")
    assert torch.equal(large.read(first[5]).image, emoji.read(first[5]).image)


def test_splits_draw_from_disjoint_canvases():
    starts = sorted(FIRST_CANVAS.values())
    assert min(b - a for a, b in zip(starts, starts[1:], strict=False)) >= 1000


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_rho_is_the_share_of_training_images_on_their_typical_background(rho):
    data = Emoji(rho=rho)
    train = data.examples("train")
    share = np.mean([e.background == data.homes[e.label] for e in train])
    # Six standard errors; 0 and 1 are exact.
    assert abs(share - rho) <= 6 * (rho * (1 - rho) / len(train)) ** 0.5


def test_backgrounds_of_the_four_test_modes(emoji):
    test, others = emoji.examples("test"), emoji.variants()
    assert set(others) == {"same", "swap", "none"}
    assert all(e.background == emoji.homes[e.label] for e in others["same"])
    assert all(e.background in BACKGROUND_NAMES and e.background != emoji.homes[e.label] for e in others["swap"])
    assert all(e.background is None for e in others["none"])
    assert {e.background for e in test} == set(BACKGROUND_NAMES)
    assert max(Counter(e.background for e in test).values()) < 3 * len(test) / len(BACKGROUND_NAMES)


# The images


def test_modes_share_pose_jitter_and_order(emoji):
    test, others = emoji.examples("test"), emoji.variants()
    for mode in others.values():
        assert [(pose_of(e), e.label, e.style) for e in mode] == [(pose_of(e), e.label, e.style) for e in test]
        for a, b in zip(some(test), some(mode), strict=True):
            (drawing, tint, _, shade), (drawing_b, tint_b, _, shade_b) = emoji.layers(a), emoji.layers(b)
            assert torch.equal(drawing, drawing_b) and torch.equal(tint, tint_b) and torch.equal(shade, shade_b)
            assert torch.equal(emoji.read(a).mask, emoji.read(b).mask)


def test_domains_share_pose_and_background(emoji):
    for style in STYLES:
        domain = emoji.domain(style)
        assert {e.style for e in domain} == {style}
        assert [(pose_of(e), e.background) for e in domain] == [
            (pose_of(e), e.background) for e in emoji.examples("test")
        ]


def test_the_mask_is_exact(emoji):
    """image = mask * drawing + (1 - mask) * background, recomputed in double precision."""
    for example in some(emoji.examples("train")):
        decoded = emoji.read(example)
        assert decoded.image.shape == (3, 64, 64) and decoded.mask.shape == (1, 64, 64)
        assert decoded.image.dtype == decoded.mask.dtype == torch.uint8
        drawing, tint, background, shade = (t[0].double() for t in emoji.layers(example))
        alpha = decoded.mask.double() / 255
        assert (drawing[3] - alpha[0]).abs().max() <= 0.5 / 255 + 1e-6
        back = (background * shade[:, None, None]).clamp(max=255)
        image = 255 * torch.minimum(drawing[:3] * tint[:, None, None], alpha) + (1 - alpha) * back
        assert (image - decoded.image).abs().max() <= 0.5 + 1e-3
        clear = (alpha == 0).expand(3, -1, -1)
        assert torch.equal(decoded.image[clear], back.round().to(torch.uint8)[clear])


def test_the_drawing_is_visible_in_the_image(emoji):
    for example in emoji.examples("test")[::11]:
        mask = emoji.read(example).mask.float() / 255
        assert 0.008 < mask.mean() < 0.5, example.key


def test_reading_is_reproducible_and_ignores_the_label(emoji):
    example = emoji.examples("train")[123]
    first, again = emoji.read(example), emoji.read(replace(example, label=0))
    fresh = Emoji(test_per_class=4, train_per_class=8).read(replace(example, label=7))
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.image, fresh.image) and torch.equal(first.mask, fresh.mask)


def test_mean_colours_equal_the_recorded_ones(emoji):
    """Means as recorded; a tolerance for other resampling and numpy versions."""
    found = [emoji.read(e) for e in emoji.examples("test")[::97]]
    means = [(p.image.float().mean().item(), p.mask.float().mean().item()) for p in found]
    assert np.allclose(means, RECORDED, atol=0.5)


@pytest.mark.parametrize("image_size", [32, 96, 224])
def test_other_sizes(image_size):
    data = Emoji(image_size=image_size, test_per_class=1)
    example = data.examples("test")[3]
    image = data.read(example)
    assert image.image.shape == (3, image_size, image_size)
    small = Emoji(test_per_class=1).read(example)
    assert abs(image.mask.float().mean() - small.mask.float().mean()) < 3


def test_composing_a_batch_equals_composing_each_image(emoji):
    layers = [emoji.layers(e) for e in some(emoji.examples("test"))]
    images, masks = alpha_over(*(torch.cat(part) for part in zip(*layers, strict=True)))
    for i, one in enumerate(layers):
        image, mask = alpha_over(*one)
        assert torch.equal(images[i], image[0]) and torch.equal(masks[i], mask[0])


# Options in the spec


def test_a_spec_sets_the_options():
    data = Emoji.from_spec("rho=0.9, styles=fluent-3d+noto,classes=validation,scale=0.25+0.5,test_per_class=2")
    assert (data.rho, data.styles, data.classes, data.scale) == (0.9, ("fluent-3d", "noto"), "validation", (0.25, 0.5))
    assert len(data.examples("test")) == 96
    assert Emoji.from_spec("").examples("test") == Emoji().examples("test")


@pytest.mark.parametrize(
    "spec, message",
    [
        ("colour=red", "emoji has no option 'colour=red': write name=value with one of styles, rho"),
        ("rho", "emoji has no option 'rho': write name=value"),
        ("rho=much", "emoji cannot use 'rho=much': write rho=0.9, for example"),
        ("rho=1.5", "rho must be from 0 to 1, got 1.5"),
        ("styles=oil", "emoji has no style 'oil': choose among fluent-3d, fluent-flat, noto"),
        ("classes=all", "emoji has no classes 'all': choose one of benchmark, validation"),
        ("scale=0.5", "emoji cannot use 'scale=0.5': write scale=0.35[+]0.7, for example"),
        ("scale=0.7+0.3", r"scale must be .*0.7, 0.3"),
        ("image_size=4", "image_size must be .*got 4"),
        ("test_per_class=-1", "test_per_class must be .*got -1"),
    ],
)
def test_an_invalid_spec_is_a_user_error(spec, message):
    with pytest.raises(UserError, match=message):
        Emoji.from_spec(spec)


def test_an_unknown_split_or_domain_is_a_user_error(emoji):
    with pytest.raises(UserError, match="emoji has no split 'dev': choose one of train, val, test"):
        emoji.examples("dev")
    with pytest.raises(UserError, match="emoji has no style 'oil'"):
        emoji.domain("oil")
