"""Features by pixels: in memory and in a file."""

import pytest
import torch

import tiny_clips
from cliptune.backbones import feature_memo
from cliptune.backbones.feature_memo import FeatureMemo, read_rows, remember_features, write_rows
from cliptune.types import Prompts

IMAGES = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Encoder:
    """Features `(b, 5)` that depend on the pixels; counts the images."""

    def __init__(self):
        self.sizes = []

    def __call__(self, images):
        self.sizes.append(len(images))
        return images.flatten(1)[:, :5] * 2


def features(memo, images, encode, settings="tower"):
    return memo.features(images, settings, encode)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("file", [None, "features.sqlite"])
def test_features_are_computed_once(tmp_path, file, whole):
    memo, encode = FeatureMemo(), Encoder()
    with remember_features(file and tmp_path / file, whole):
        first = features(memo, IMAGES, encode)
        assert torch.equal(first, IMAGES.flatten(1)[:, :5] * 2)
        assert torch.equal(features(memo, IMAGES, encode), first) and encode.sizes == [6]
        swapped = features(memo, IMAGES.flip(0), encode)
        assert torch.equal(swapped, first.flip(0)) and encode.sizes == [6, 6][: 1 + whole]
        again = FeatureMemo()
        assert torch.equal(features(again, IMAGES, encode), first)
        assert encode.sizes == ([6, 6] if whole else [6]) + [6] * (file is None)
        assert features(memo, IMAGES, encode, "another tower") is not None and encode.sizes[-1] == 6


def test_the_rest_of_a_batch_is_computed():
    memo, encode = FeatureMemo(), Encoder()
    with remember_features(None):
        features(memo, IMAGES[:2], encode)
        got = features(memo, torch.cat([IMAGES, IMAGES[:1]]), encode)
    assert torch.equal(got[:6], IMAGES.flatten(1)[:, :5] * 2) and torch.equal(got[6], got[0]) and encode.sizes == [2, 4]


def test_memory_is_limited(monkeypatch):
    monkeypatch.setattr(feature_memo, "MAX_MEMORY_BYTES", 4 * 5 * 4)
    memo, encode = FeatureMemo(), Encoder()
    with remember_features(None):
        features(memo, IMAGES, encode)
        features(memo, IMAGES[2:], encode)
        assert encode.sizes == [6], "the last four"
        features(memo, IMAGES[:1], encode)
        features(memo, IMAGES[3:], encode)
    assert encode.sizes == [6, 1], "the one that was not used for longest made room"


def test_the_file_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_memo, "MAX_FILE_BYTES", 40_000)
    file = tmp_path / "features.sqlite"
    rows = [bytes([i]) * 16 for i in range(40)]
    for key in rows:
        write_rows(file, {key: key * 200})
    kept = read_rows(file, rows)
    assert rows[-1] in kept and rows[0] not in kept and len(kept) < 20
    assert file.stat().st_size < 80_000


@pytest.mark.parametrize("content", [b"", b"no database" * 400])
def test_a_damaged_file_is_replaced(tmp_path, content):
    file, encode = tmp_path / "features.sqlite", Encoder()
    file.write_bytes(content)
    with remember_features(file):
        first = features(FeatureMemo(), IMAGES, encode)
        assert torch.equal(features(FeatureMemo(), IMAGES, encode), first) and encode.sizes == [6]


def test_a_damaged_feature_is_computed_again(tmp_path):
    file, encode = tmp_path / "features.sqlite", Encoder()
    with remember_features(file):
        first = features(FeatureMemo(), IMAGES, encode)
        content = file.read_bytes()
        row = first[0].numpy().tobytes()
        assert row in content
        file.write_bytes(content.replace(row, row[::-1]))
        assert torch.equal(features(FeatureMemo(), IMAGES, encode), first) and encode.sizes == [6, 1]


def test_a_file_that_cannot_be_written_is_left_out(tmp_path):
    (tmp_path / "file").write_text("")
    encode = Encoder()
    with remember_features(tmp_path / "file" / "features.sqlite"):
        assert features(FeatureMemo(), IMAGES, encode).shape == (6, 5)


def test_the_backbone_remembers_frozen_features_in_float32_alone(monkeypatch):
    backbone, calls = tiny_clips.backbone("deep_image"), []
    monkeypatch.setattr(backbone, "_memo", FeatureMemo())
    encode = type(backbone)._encode_frozen
    monkeypatch.setattr(
        type(backbone), "_encode_frozen", lambda *args, **more: calls.append(1) or encode(*args, **more)
    )
    images = tiny_clips.random_images(backbone)
    plain = backbone.encode_image(images)
    token = Prompts(image=(torch.zeros(1, backbone.image_width),))
    with remember_features(None):
        assert torch.equal(backbone.encode_image(images), plain) and torch.equal(backbone.encode_image(images), plain)
        assert len(calls) == 1
        backbone.encode_image(images, token)
        backbone.encode_image_parts(images, patches=True)
        backbone.encode_image(images.clone().requires_grad_())
        with backbone.autocast_with(lambda: torch.autocast("cpu", torch.bfloat16)):
            backbone.encode_image(images[:1])
        assert len(calls) == 1
    backbone.encode_image(images)
    assert len(calls) == 1
