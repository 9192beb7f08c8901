"""Logits are in the order of the test set for any batch size."""

from dataclasses import replace

import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

import tiny_clips
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import normalise
from cliptune.data.emoji.dataset import Emoji
from cliptune.data.transforms import evaluation_view, standardise
from cliptune.engine import evaluate
from cliptune.engine.evaluate import predict_logits
from cliptune.methods.coop import CoOp
from cliptune.methods.maple import Maple
from cliptune.methods.zeroshot import ZeroShot
from tiny_tasks import drawings, model, task

COOP = CoOp(n_ctx=2)


@pytest.fixture(scope="module")
def tuned():
    return model(COOP, tiny_clips.backbone("deep_image"), task())


@pytest.mark.parametrize("name", ["test", "novel"])
def test_logits_are_scaled_cosines_of_the_evaluation_view(tuned, name):
    toy, backbone = task(), tuned.backbone
    test = toy.tests[name]
    images = [evaluation_view(to_pil_image(toy.dataset.read(e).image), backbone.preprocess) for e in test.examples]
    with torch.no_grad():
        image = normalise(
            backbone.encode_image(standardise(torch.stack(images), backbone.preprocess.mean, backbone.preprocess.std))
        )
        text = backbone.class_features(COOP.class_prompts(backbone, test.classnames, ()), tuned.learner())
    expected = backbone.logit_scale * image @ text.T
    ticks = []
    got = predict_logits(tuned, toy.dataset, test, batch_size=3, tick=ticks.append)
    assert torch.allclose(got, expected, atol=1e-3) and got.shape == (len(test.examples), len(test.classnames))
    assert sum(ticks) == len(test.examples)
    assert not got.requires_grad


def test_text_features_are_computed_once(tuned, monkeypatch):
    calls = []
    original = type(tuned.backbone).encode_text
    monkeypatch.setattr(type(tuned.backbone), "encode_text", lambda *a: (calls.append(1), original(*a))[1])
    predict_logits(tuned, task().dataset, task().tests["test"], batch_size=2)
    assert len(calls) == 1


def counted(monkeypatch):
    """Count the examples read from the drawings."""
    seen, read = [], type(drawings()).read
    monkeypatch.setattr(type(drawings()), "read", lambda self, e: (seen.append(e.key), read(self, e))[1])
    return seen


def test_a_frozen_tower_encodes_a_test_set_once_for_all_methods(monkeypatch):
    backbone, toy = tiny_clips.backbone.__wrapped__("deep_image"), task()
    seen, test = counted(monkeypatch), toy.tests["test"]
    first = predict_logits(model(COOP, backbone, toy), toy.dataset, test)
    assert sorted(seen) == sorted(e.key for e in test.examples)
    assert torch.equal(predict_logits(model(COOP, backbone, toy), toy.dataset, test), first)
    other = predict_logits(model(ZeroShot(), backbone, toy), toy.dataset, test)
    assert len(seen) == len(test.examples) and not torch.equal(other, first)
    alone = predict_logits(
        model(ZeroShot(), Backbone("same", backbone.model, backbone.tokenizer, "onednn"), toy), toy.dataset, test
    )
    assert torch.equal(other, alone)


def test_other_images_are_encoded_again(monkeypatch):
    backbone, toy = tiny_clips.backbone.__wrapped__("deep_image"), task()
    tuned, test, seen = model(COOP, backbone, toy), toy.tests["test"], counted(monkeypatch)
    predict_logits(tuned, toy.dataset, test)
    predict_logits(tuned, toy.dataset, replace(test, examples=test.examples[::-1]))
    assert len(seen) == 2 * len(test.examples), "another order is another set"
    moved = Emoji(styles=("fluent-flat",), test_per_class=4, seed=1)  # the same keys, other poses
    assert not torch.equal(predict_logits(tuned, moved, test), predict_logits(tuned, toy.dataset, test))


def test_the_evaluation_view_of_2021_has_features_of_its_own():
    toy, test = task(), task().tests["test"]
    shared, fresh = (tiny_clips.backbone.__wrapped__("deep_image") for _ in range(2))
    crop = predict_logits(model(COOP, shared, toy), toy.dataset, test, preset="crop")
    after = predict_logits(model(COOP, shared, toy), toy.dataset, test, preset="coop-2021")
    assert torch.equal(after, predict_logits(model(COOP, fresh, toy), toy.dataset, test, preset="coop-2021"))
    assert not torch.equal(after, crop)
    assert torch.equal(crop, predict_logits(model(COOP, shared, toy), toy.dataset, test, preset="flip"))


def test_learned_image_tokens_are_never_shared(monkeypatch):
    backbone, toy = tiny_clips.backbone.__wrapped__("deep_image"), task()
    seen, test = counted(monkeypatch), toy.tests["test"]
    predict_logits(model(COOP, backbone, toy), toy.dataset, test)
    tuned = model(Maple(depth=2), backbone, toy)
    before = predict_logits(tuned, toy.dataset, test)
    tuned.learner.to_image[0].bias.data += tiny_clips.normal(backbone.image_width)
    assert not torch.allclose(predict_logits(tuned, toy.dataset, test), before)
    assert len(seen) == 3 * len(test.examples)


def test_only_a_few_test_sets_are_cached(monkeypatch):
    monkeypatch.setattr(evaluate, "MAX_CACHED_SETS", 2)
    backbone, toy = tiny_clips.backbone.__wrapped__("deep_image"), task()
    tuned, seen = model(COOP, backbone, toy), counted(monkeypatch)
    one, two, three = (replace(toy.tests["test"], examples=(e,)) for e in toy.tests["test"].examples[:3])
    for test in (one, two, one, three, one, two):
        predict_logits(tuned, toy.dataset, test)
    assert seen == [t.examples[0].key for t in (one, two, three, two)], "the one used longest ago goes first"
