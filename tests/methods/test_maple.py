"""MaPLe: its tokens start from words, reach both towers, and fit towers of differing depth."""

import pytest
import torch
from torch import Generator

import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.maple import Maple
from cliptune.model.tuned_model import TunedModel
from cliptune.types import State

NAMES = ("cat", "steam locomotive")


@pytest.mark.parametrize("shape", tiny_clips.VITS)
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_loss_depends_on_every_learned_tensor(shape, depth):
    backbone = tiny_clips.backbone(shape)
    if depth > max(backbone.text_depth, backbone.image_depth):
        pytest.skip("deeper than both towers")
    method = Maple(depth=depth)
    tuned = TunedModel(backbone, method, NAMES)
    out = tuned({"image": tiny_clips.random_images(backbone, 3)}, State(0, 1))
    out.logits.square().mean().backward()
    still = [name for name, p in tuned.learner.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_the_first_layer_starts_from_words():
    backbone = tiny_clips.backbone("deep_image")
    prompts = Maple(depth=2).learner(backbone, NAMES, Generator())()
    assert torch.equal(prompts.text, backbone.embed_words("a photo of a", 2))
    (deep,) = prompts.text_deep
    assert deep.std().item() == pytest.approx(0.02, rel=0.3)


def test_words_beyond_the_tokens_stay_before_the_name():
    backbone = tiny_clips.backbone("deep_image")
    sentences = Maple(n_ctx=2).class_prompts(backbone, NAMES, ())
    ids = backbone.prompt_tokenizer("a photo of a cat.")
    assert sentences.ids[0, : len(ids)].tolist() == ids
    assert sentences.slots[0, : len(ids)].tolist() == [-1, 0, 1, -1, -1, -1, -1, -1]


def test_more_tokens_than_words_start_at_random():
    backbone = tiny_clips.backbone("deep_image")
    with pytest.warns(UserWarning, match="has 4 tokens, too few for n_ctx=6: context starts at random"):
        learner = Maple(n_ctx=6, depth=1).learner(backbone, NAMES, Generator().manual_seed(1))
    assert learner().text.shape == (6, backbone.text_width)
    with pytest.warns(UserWarning):
        assert (Maple(n_ctx=6).class_prompts(backbone, NAMES, ()).slots.amax(1) == 5).all()


def test_more_layers_than_both_towers_are_refused():
    with pytest.raises(UserError, match="depth=9 is more than the 4 layers of backbone 'deep_image'; lower it"):
        TunedModel(tiny_clips.backbone("deep_image"), Maple(), NAMES)


@pytest.mark.parametrize("options", [{"n_ctx": 0}, {"depth": 0}])
def test_zero_tokens_or_layers_are_refused(options):
    with pytest.raises(UserError, match="must be at least 1, got 0"):
        Maple(**options)


def test_a_resnet_refuses_image_tokens():
    with pytest.raises(UserError, match="has a ModifiedResNet image tower; visual prompts .* need open_clip's ViT"):
        TunedModel(tiny_clips.backbone("resnet"), Maple(depth=2), NAMES)
