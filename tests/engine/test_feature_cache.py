"""Cached features equal those of the tower, in the same batches as images."""

import pytest
import torch

import tiny_clips
from cliptune.backbones.features import normalise
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import RandomCropFlip
from cliptune.engine.feature_cache import FeatureCache
from cliptune.engine.fit import training_set
from cliptune.errors import UserError
from cliptune.masks.full import FullMasks
from cliptune.masks.grid import GridMasks
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import Dapt
from cliptune.methods.maple import Maple
from tiny_tasks import QUICK, model, task

COOP = CoOp(n_ctx=2)


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def examples_of(backbone, toy):
    augment = RandomCropFlip(backbone.image_size)
    return ExampleSet(toy.dataset, toy.train, backbone.preprocess, augment=augment, seed=5)


@pytest.mark.parametrize("method", [COOP, Dapt(COOP, masks_from="full")], ids=["one view", "three views"])
def test_every_batch_equals_the_towers_features(backbone, method):
    toy = task()
    tuned = model(method, backbone, toy)
    masks = None if method.mask_source() is None else FullMasks()
    cache = FeatureCache(tuned, examples_of(backbone, toy), 2, masks)
    for epoch in (0, 1):
        images = examples_of(backbone, toy).epoch_batches(epoch, 4, torch.device("cpu"), masks=masks)
        pairs = zip(cache.epoch_batches(epoch, 4), images, strict=True)
        for (batch, views), pictured in pairs:
            with torch.no_grad():
                expected = tuned.encode_views(method.views(pictured))
            assert views.keys() == expected.keys()
            for name in expected:
                assert torch.allclose(normalise(views[name]), expected[name], atol=1e-5), name
            assert torch.equal(batch.labels, pictured.labels) and torch.equal(batch.index, pictured.index)
            assert batch.images is views["image"]


def test_views_repeat_in_another_order(backbone):
    cache = FeatureCache(model(COOP, backbone, task()), examples_of(backbone, task()), 2)

    def rows(epoch):
        return {int(i): f for b, v in cache.epoch_batches(epoch, 4) for i, f in zip(b.index, v["image"], strict=True)}

    first, second, third = rows(0), rows(1), rows(2)
    assert list(first) != list(third)
    assert all(torch.equal(first[i], third[i]) for i in first)
    assert not any(torch.equal(first[i], second[i]) for i in first)


def test_image_tokens_cannot_be_cached(backbone):
    with pytest.raises(UserError, match="cached_views needs a text-only method"):
        FeatureCache(model(Maple(depth=2), backbone, task()), examples_of(backbone, task()), 1)


def test_changing_masks_cannot_be_cached(backbone):
    with pytest.raises(UserError, match="cached_views needs masks that do not change"):
        FeatureCache(model(COOP, backbone, task()), examples_of(backbone, task()), 1, GridMasks())


def test_every_training_image_and_mask_is_read_once(backbone, monkeypatch):
    toy, seen = task(), []
    read = type(toy.dataset).read
    monkeypatch.setattr(type(toy.dataset), "read", lambda self, e: (seen.append(e.key), read(self, e))[1])
    examples, masks = training_set(model(Dapt(COOP), backbone, toy), toy, QUICK)
    list(examples.epoch_batches(0, 4, torch.device("cpu"), masks=masks))
    assert sorted(seen) == sorted(e.key for e in toy.train)
