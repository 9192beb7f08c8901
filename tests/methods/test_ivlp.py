"""IVLP and language prompting: equal to the reference, with optional branches, and limits of the towers."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

import textbook
import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.ivlp import Ivlp
from cliptune.methods.language import Language
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State

NAMES = ("cat", "steam_locomotive", "sled dog")
WORDS = "a photo of a"


@pytest.mark.parametrize("shape", tiny_clips.VITS)
@pytest.mark.parametrize("text", [(2, 1), (4, 3)])
@pytest.mark.parametrize("image", [(0, 0), (3, 1), (1, 2)])
def test_a_step_equals_the_reference(shape, text, image):
    backbone = tiny_clips.backbone(shape)
    tuned = TunedModel(backbone, Ivlp(*text, *image), NAMES)
    images, labels = tiny_clips.random_images(backbone), torch.tensor([2, 0, 1])
    own, seen = tuned.learner.text, tuned.learner.image
    assert [p.shape for p in own] == [(text[0], backbone.text_width)] * text[1]
    assert [p.shape for p in seen] == ([(image[0], backbone.image_width)] * image[1])
    batch = Batch(images, labels)
    out = tuned(tuned.method.views(batch), State(0, 1))

    ids, _ = textbook.prompted(backbone.prompt_tokenizer, WORDS, [name.replace("_", " ") for name in NAMES])
    classes = textbook.unit(textbook.text_features(backbone.model, ids, own[0], own[1:]))
    features = textbook.unit(textbook.image_features(backbone.model, images, list(seen)))
    logits = backbone.logit_scale * features @ classes.T
    torch.testing.assert_close(out.logits, logits, rtol=0, atol=1e-3)
    (loss,) = tuned.method.losses(out, batch, State(0, 1)).values()
    tiny_clips.same_gradients(loss, F.cross_entropy(logits, labels), [*own, *seen])


def test_the_first_text_layer_starts_from_words_and_the_others_at_random():
    backbone = tiny_clips.backbone("deep_image")
    prompts = Ivlp(2, 2, 3, 2).learner(backbone, NAMES, Generator().manual_seed(1))()
    assert torch.equal(prompts.text, backbone.embed_words(WORDS, 2))
    for tokens in (*prompts.text_deep, *prompts.image):
        assert tokens.std().item() == pytest.approx(0.02, rel=0.3)


def test_more_tokens_than_words_start_at_random():
    with pytest.warns(UserWarning, match="has 4 tokens, too few for n_ctx=6: context starts at random"):
        learner = Ivlp(6, 1, 0, 0).learner(tiny_clips.backbone("deep_image"), NAMES, Generator().manual_seed(1))
    assert learner().text.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize("image", [(0, 0), (2, 0), (0, 2)])
@pytest.mark.parametrize("shape", [*tiny_clips.VITS, "resnet"])
def test_without_image_tokens_any_image_tower_works(shape, image):
    backbone = tiny_clips.backbone(shape)
    tuned = TunedModel(backbone, Ivlp(2, 2, *image), NAMES)
    assert tuned.prompts().fixed_image and len(list(tuned.learner.parameters())) == 2
    images = tiny_clips.random_images(backbone)
    features = tuned({"image": images}, State(0, 1)).image["image"]
    torch.testing.assert_close(
        features, textbook.unit(textbook.image_features(backbone.model, images)), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("shape", [*tiny_clips.VITS, "resnet"])
def test_language_is_ivlp_without_image_tokens(shape):
    backbone, images = tiny_clips.backbone(shape), tiny_clips.random_images(tiny_clips.backbone(shape))
    tuned, other = (TunedModel(backbone, m, NAMES) for m in (Language(3, 2), Ivlp(3, 2, 0, 0)))
    logits = [model({"image": images}, State(0, 1)).logits for model in (tuned, other)]
    assert torch.equal(*logits) and logits[0].requires_grad


@pytest.mark.parametrize("options", [{"n_ctx_text": 0}, {"depth_text": 0}])
def test_ivlp_needs_text_tokens(options):
    with pytest.raises(UserError, match="must be at least 1, got 0; for image tokens alone use vpt"):
        Ivlp(**options)


@pytest.mark.parametrize("options", [{"n_ctx_image": -1}, {"depth_image": -1}])
def test_negative_numbers_of_image_tokens_are_refused(options):
    with pytest.raises(UserError, match="must be at least 0, got -1"):
        Ivlp(**options)


@pytest.mark.parametrize("options", [{"n_ctx": 0}, {"depth": 0}])
def test_zero_tokens_or_layers_are_refused(options):
    with pytest.raises(UserError, match="must be at least 1, got 0"):
        Language(**options)


@pytest.mark.parametrize(
    "method, tower, layers", [(Ivlp(), "text", 3), (Ivlp(depth_text=1), "image", 4), (Language(), "text", 3)]
)
def test_more_layers_than_a_tower_are_refused(method, tower, layers):
    with pytest.raises(UserError, match=f"a depth of 12 is more than the {layers} layers of the {tower} tower"):
        TunedModel(tiny_clips.backbone("deep_image"), method, NAMES)


def test_a_resnet_refuses_image_tokens():
    with pytest.raises(UserError, match="has a ModifiedResNet image tower; visual prompts .* need open_clip's ViT"):
        TunedModel(tiny_clips.backbone("resnet"), Ivlp(2, 1, 2, 1), NAMES)
