"""VPT: equal to the reference, with fixed text prompts; towers without prompt tokens are refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

import textbook
import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.vpt import Vpt
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State

NAMES = ("cat", "steam_locomotive", "sled dog")
TEMPLATES = "a photo of a {}."


def plain(backbone, template):
    texts = [template.format(name.replace("_", " ")) for name in NAMES]
    return textbook.unit(textbook.text_features(backbone.model, textbook.tokens(backbone.prompt_tokenizer, texts)))


@pytest.mark.parametrize("shape", tiny_clips.VITS)
@pytest.mark.parametrize("depth", [1, 2])
def test_a_step_equals_the_reference(shape, depth):
    backbone = tiny_clips.backbone(shape)
    tuned = TunedModel(backbone, Vpt(3, depth), NAMES, (TEMPLATES,))
    images, labels = tiny_clips.random_images(backbone), torch.tensor([2, 0, 1])
    leaves = list(tuned.learner.parameters())
    assert [p.shape for p in leaves] == [(3, backbone.image_width)] * depth
    batch = Batch(images, labels)
    out = tuned(tuned.method.views(batch), State(0, 1))
    features = textbook.unit(textbook.image_features(backbone.model, images, leaves))
    logits = backbone.logit_scale * features @ plain(backbone, TEMPLATES).T
    torch.testing.assert_close(out.logits, logits, rtol=0, atol=1e-3)
    (loss,) = tuned.method.losses(out, batch, State(0, 1)).values()
    tiny_clips.same_gradients(loss, F.cross_entropy(logits, labels), leaves)


@pytest.mark.parametrize("template, message", [("", "{} texture."), (TEMPLATES, TEMPLATES)])
def test_class_prompts_are_fixed_by_the_dataset_or_the_user(template, message):
    backbone = tiny_clips.backbone("deep_image")
    tuned = TunedModel(backbone, Vpt(2, 1, template), NAMES, ("{} texture.", "a {}."))
    text = tuned({"image": tiny_clips.random_images(backbone)}, State(0, 1)).text
    torch.testing.assert_close(text, plain(backbone, message), rtol=0, atol=1e-5)
    assert not text.requires_grad


def test_tokens_start_small_and_differ():
    tokens = Vpt(8, 2).learner(tiny_clips.backbone("deep_image"), NAMES, Generator().manual_seed(1))().image
    assert all(t.std().item() == pytest.approx(0.02, rel=0.1) for t in tokens)
    assert not torch.equal(*tokens)


@pytest.mark.parametrize("options", [{"n_ctx": 0}, {"depth": 0}])
def test_zero_tokens_or_layers_are_refused(options):
    with pytest.raises(UserError, match="must be at least 1, got 0"):
        Vpt(**options)


@pytest.mark.parametrize("template", ["a photo", "{} and {}"])
def test_a_template_without_one_placeholder_is_refused(template):
    with pytest.raises(UserError, match=r"needs exactly one \{\} where the class name goes"):
        Vpt(template=template)


def test_more_layers_than_the_image_tower_are_refused():
    with pytest.raises(UserError, match="a depth of 12 is more than the 2 layers of the image tower of 'deep_text'"):
        TunedModel(tiny_clips.backbone("deep_text"), Vpt(), NAMES)


def test_a_resnet_refuses_image_tokens():
    with pytest.raises(UserError, match="has a ModifiedResNet image tower; visual prompts .* need open_clip's ViT"):
        TunedModel(tiny_clips.backbone("resnet"), Vpt(2, 1), NAMES)
