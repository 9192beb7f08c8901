"""TCP: tokens of each class in a middle layer, for trained and other names."""

import pytest
import torch
import torch.nn.functional as F

import textbook
import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.tcp import Tcp
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_clips import NAMES, normal, random_images, same_gradients

LABELS = torch.tensor([0, 3, 1])
TEMPLATES = ("a drawing of a {}.",)
NEW = ("steam_engine", "dog")


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_text")


def built(backbone, method=None, templates=TEMPLATES):
    """A model with tokens large enough to matter."""
    model = TunedModel(backbone, method or Tcp(n_ctx=3, block=3, weight=2.5), NAMES, templates)
    with torch.no_grad():
        model.learner.text.copy_(normal(*model.learner.text.shape, std=0.3))
        model.learner.outer.bias.copy_(normal(*model.learner.outer.bias.shape, std=0.3, seed=1))
    return model


def teacher(backbone, names, template="a drawing of a {}."):
    sentences = [template.format(name.replace("_", " ")) for name in names]
    return textbook.unit(textbook.text_features(backbone.model, textbook.tokens(backbone.prompt_tokenizer, sentences)))


def class_feature(backbone, learner, sentence, frozen, block):
    """Feature `(1, d)` of one sentence, whose words 1 to n are the context and, from `block` on, the class's tokens."""
    clip, n = backbone.model, len(learner.text)
    ids = textbook.tokens(backbone.prompt_tokenizer, [sentence])
    hidden = learner.inner.weight @ frozen + learner.inner.bias
    own = learner.outer.weight @ (hidden * torch.sigmoid(1.702 * hidden)) + learner.outer.bias
    x = textbook.embedded(clip, ids, learner.text, "end", ()) + clip.positional_embedding
    for i, layer in enumerate(clip.transformer.resblocks):
        if i == block:
            x = torch.cat([x[:, :1], own.view(1, n, -1), x[:, 1 + n :]], 1)
        x = layer(x, attn_mask=clip.attn_mask)
    return clip.ln_final(x)[0, ids[0].argmax()] @ clip.text_projection


def expected_text(backbone, learner, names, frozen, after="{}.", block=3):
    sentences = [f"X X X {after.format(name.replace('_', ' '))}" for name in names]
    rows = [class_feature(backbone, learner, *pair, block) for pair in zip(sentences, frozen, strict=True)]
    return textbook.unit(torch.stack(rows))


@pytest.mark.parametrize("block", [1, 3, 4])
def test_losses_and_gradients_equal_the_reference(backbone, block):
    model = built(backbone, Tcp(n_ctx=3, block=block, weight=2.5))
    images = random_images(backbone)
    batch, state = Batch(images, LABELS), State(0, 1, model.method.prepare(model, None))
    out = model({"image": images}, state)
    losses = model.method.losses(out, batch, state)
    frozen = teacher(backbone, NAMES)
    text = expected_text(backbone, model.learner, NAMES, frozen, block=block)
    torch.testing.assert_close(out.text, text, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state.memory, frozen, rtol=1e-4, atol=1e-5)
    logits = 100 * textbook.unit(textbook.image_features(backbone.model, images)) @ text.T
    expected = F.cross_entropy(logits, LABELS) + 2.5 * (1 - F.cosine_similarity(text, frozen, -1).mean())
    assert set(losses) == {"ce", "knowledge"}
    total = sum(losses.values())
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-4)
    same_gradients(total, expected, list(model.learner.parameters()))


def test_other_names_get_tokens_from_their_own_features(backbone):
    model = built(backbone).eval()
    other = model.with_classes(NEW)
    with torch.no_grad():
        text = other({"image": random_images(backbone)}).text
        expected = expected_text(backbone, model.learner, NEW, teacher(backbone, NEW))
    torch.testing.assert_close(text, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("templates", "options", "after", "template"),
    [
        (("a drawing of a {}.", "[V] {}, a type of pet."), {}, "{}, a type of pet.", "a drawing of a {}."),
        (("[V] person doing {}.", "look, {}!"), {}, "person doing {}.", "look, {}!"),
        (TEMPLATES, {"name_template": "{} texture", "template": "one {}"}, "{} texture", "one {}"),
    ],
)
def test_sentences(backbone, templates, options, after, template):
    model = built(backbone, Tcp(n_ctx=3, block=3, **options), templates).eval()
    frozen = teacher(backbone, NAMES, template)
    with torch.no_grad():
        text = model({"image": random_images(backbone)}).text
        expected = expected_text(backbone, model.learner, NAMES, frozen, after)
    torch.testing.assert_close(text, expected, rtol=1e-4, atol=1e-5)


def test_sizes(backbone):
    learner = built(backbone).learner
    d, width = backbone.embed_dim, backbone.text_width
    assert sum(p.numel() for p in learner.parameters()) == 3 * width + (d + 1) * (d // 4) + (d // 4 + 1) * 3 * width


def test_words(backbone):
    method = Tcp(words="a_photo_of_a", block=2)
    model = TunedModel(backbone, method, NAMES, TEMPLATES)
    assert torch.equal(model.learner.text, backbone.embed_words("a photo of a", 4))
    assert method.unused_fields() == {} and "n_ctx" in Tcp(n_ctx=7, words="a photo").unused_fields()


def test_a_layer_that_the_tower_lacks_is_refused(backbone):
    with pytest.raises(UserError, match="block=8 is not one of the layers 1 to 4 of the text tower of 'deep_text'"):
        TunedModel(backbone, Tcp(), NAMES)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"block": 0}, "block must be at least 1, got 0"),
        ({"weight": -1.0}, "weight must be at least 0, got -1.0"),
        ({"n_ctx": 0}, "n_ctx must be at least 1, got 0"),
        ({"name_template": "a type of pet"}, "name_template 'a type of pet' needs exactly one {} where"),
        ({"template": "a photo"}, "template 'a photo' needs exactly one {} where the class name goes"),
    ],
)
def test_meaningless_values_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Tcp(**options)
