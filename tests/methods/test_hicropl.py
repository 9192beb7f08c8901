"""HiCroPL: tokens that map to each other, feature sums, and the release's changing prompts."""

import pytest
import torch

import textbook
import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.hicropl import HiCroPl
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_clips import random_images
from tiny_tasks import learned, same

NAMES = tiny_clips.NAMES[:4]
pytestmark = pytest.mark.filterwarnings("ignore:no file of sentences")


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


@pytest.mark.parametrize("mapper", [True, False])
def test_losses_equal_a_naive_version(backbone, mapper):
    method = HiCroPl(n_ctx=2, depth=2, cross_layer=1, weight=3.0, mapper=mapper)
    model, images = TunedModel(backbone, method, NAMES), random_images(backbone)
    out = model({"image": images}, State(0, 1))
    losses = method.losses(out, Batch(images, torch.tensor([0, 3, 1])), State(0, 1))
    u0 = textbook.unit(textbook.image_features(backbone.model, images))
    u = textbook.unit(out.image["image"] + u0)
    torch.testing.assert_close(losses["image"], 3 * (1 - (u * u0).sum(-1).mean()), rtol=1e-4, atol=1e-5)
    assert (model.learner.mapping is not None) == mapper


def test_only_the_release_changes_its_prompts_at_each_pass(backbone):
    for compat in ("paper", "release"):
        model = TunedModel(backbone, HiCroPl(n_ctx=2, depth=2, cross_layer=1, compat=compat), NAMES).eval()
        with torch.no_grad():
            one, other = (model({"image": random_images(backbone)}).logits for _ in range(2))
        assert torch.equal(one, other) == (compat == "paper")


@pytest.mark.parametrize("compat", ["paper", "release"])
def test_only_passes_of_the_model_change_the_release_s_prompts(backbone, compat):
    model = TunedModel(backbone, HiCroPl(n_ctx=2, depth=2, cross_layer=1, compat=compat), NAMES).eval()
    images, before = random_images(backbone), learned(model)
    with torch.no_grad():
        text = model.encode_classes()[0]
        assert model.accepts_new_classes and not model.fixed_image
        fewer = model.with_classes(NAMES[:2]).eval().encode_classes()[0]
        torch.testing.assert_close(fewer, text[:2], rtol=0, atol=1e-6)  # products of fewer rows may round otherwise
        model.encode_views({"image": images}, model.prompts())
        assert torch.equal(model.encode_classes()[0], text) and same(before, learned(model))
        assert torch.equal(model({"image": images}).text, text), "the pass has the prompts that were asked for"
    assert same(before, learned(model)) == (compat == "paper")


def test_bad_values(backbone):
    with pytest.raises(UserError, match="cross_layer must be less than depth=2, got 2"):
        TunedModel(backbone, HiCroPl(depth=2, cross_layer=2), NAMES)
    with pytest.raises(UserError, match="weight"):
        HiCroPl(weight=-1)
