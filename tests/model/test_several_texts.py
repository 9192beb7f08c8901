"""Classes with several texts: contexts of their own, features of each text, and context per class."""

from dataclasses import replace

import pytest
import torch

from cliptune.backbones.features import normalise
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.backbones.padded_text_tower import PaddedTextTower
from cliptune.backbones.tokenized_text import tokenize_templates, tokenize_with_context
from cliptune.errors import UserError
from cliptune.methods.atprompt import ATPrompt
from cliptune.methods.cocoop import CoCoOp
from cliptune.methods.coop import CoOp
from cliptune.methods.cupl import Cupl
from cliptune.methods.mmrl import Mmrl
from cliptune.model.tuned_model import TunedModel
from cliptune.prompts.context import TextContext
from cliptune.types import Prompts
from tiny_clips import NAMES, VITS, backbone, normal, random_images
from tiny_tasks import DESCRIPTIONS

CONTEXTS, N_CTX = 3, 2


class Several(CoOp):
    """CoOp with several contexts."""

    def learner(self, backbone, classnames, generator):
        return TextContext(normal(CONTEXTS * N_CTX, backbone.text_width, seed=4))

    def class_prompts(self, backbone, classnames, templates):
        return tokenize_with_context(backbone.prompt_tokenizer, "", N_CTX, classnames, contexts=CONTEXTS)


def outputs(of, method):
    model = TunedModel(of, method, NAMES).eval()
    with torch.no_grad():
        return model({"image": random_images(of)}), model


@pytest.mark.parametrize("shape", VITS)
def test_several_contexts_per_class(shape):
    of = backbone(shape)
    out, model = outputs(of, Several())
    texts = out.texts.unflatten(0, (-1, CONTEXTS))
    for k in range(CONTEXTS):
        one = tokenize_with_context(of.prompt_tokenizer, "", N_CTX, NAMES)
        vectors = model.learner.state_dict()["text"][k * N_CTX : (k + 1) * N_CTX]
        expected = of.class_features(one, Prompts(text=vectors))
        torch.testing.assert_close(texts[:, k], expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(out.text, normalise(texts.mean(1)))


def test_attributes_in_front_of_several_contexts():
    """Each sentence has the vectors of the attributes and then its own, as many per attribute as in a sentence."""
    of = backbone("deep_image")
    text = ATPrompt(Several()).class_prompts(of, NAMES, ("{}",))
    own = [[slot for slot in row if slot >= 0] for row in text.slots.tolist()]
    assert own[:CONTEXTS] == [[0, 1, 2, 3, 4 + k * N_CTX, 5 + k * N_CTX] for k in range(CONTEXTS)]
    out, model = outputs(of, ATPrompt(Several()))
    assert [len(model.learner.state_dict()[f"attributes.{i}"]) for i in range(2)] == [N_CTX, N_CTX]
    assert out.texts.shape[0] == CONTEXTS * len(NAMES) and out.texts.isfinite().all()


@pytest.mark.parametrize("shape", VITS)
def test_texts_are_those_of_the_class(shape):
    """One per class, an equal number per class, and a number that differs."""
    of = backbone(shape)
    out, _ = outputs(of, CoOp())
    assert torch.equal(out.texts, out.text)
    with pytest.warns(UserWarning, match="has no sentences"):
        out, model = outputs(of, Cupl(str(DESCRIPTIONS)))
    owner = model.class_text.text.classes
    assert len(out.texts) == len(owner) > len(NAMES)
    for label in range(len(NAMES)):
        torch.testing.assert_close(out.text[label], normalise(out.texts[owner == label].mean(0)))


@pytest.mark.parametrize("chunk", [4096, 30])
@pytest.mark.parametrize("padded", [False, True], ids=["packed", "padded"])
def test_context_per_class_enters_all_texts_of_the_class(padded, chunk):
    of, names, templates = backbone("deep_text"), NAMES[2:], ("a {} in it.", "itap of my {}.")
    tower = (PaddedTextTower if padded else PackedTextTower)(of.model, chunk=chunk)
    text = tokenize_templates(of.prompt_tokenizer, templates, names)
    deep = normal(len(names), 2, of.text_width, seed=2)
    features = tower(text, Prompts(text_deep=(None, deep))).unflatten(0, (len(names), -1))
    for label, name in enumerate(names):
        one = tokenize_templates(of.prompt_tokenizer, templates, [name])
        expected = tower(one, Prompts(text_deep=(None, deep[label])))
        torch.testing.assert_close(features[label], expected, rtol=0, atol=1e-4)


def test_methods_that_read_patches_or_tokens_need_a_vit():
    class Patches(CoOp):
        needs_patches = True

    for method in (Patches(), Mmrl()):
        with pytest.raises(UserError, match="image tower; visual prompts and Grad-CAM need open_clip's ViT"):
            TunedModel(backbone("resnet"), method, NAMES)


def test_deep_tokens_of_single_classes_serve_no_other_names():
    class Deep(CoOp):
        def learner(self, backbone, classnames, generator):
            return _DeepPerClass(normal(len(classnames), 2, backbone.text_width))

    model = TunedModel(backbone("deep_text"), Deep(n_ctx=2), NAMES)
    with pytest.raises(UserError, match="trainable parameters per class"):
        model.with_classes(NAMES[:2])


class _DeepPerClass(TextContext):
    def forward(self) -> Prompts:
        return Prompts(text=self.text[0], text_deep=(self.text,))


class Unequal(CoCoOp):
    """CoCoOp with one text of the first class and two of every other."""

    def class_prompts(self, backbone, classnames, templates):
        names = [name for i, name in enumerate(classnames) for name in [name, f"small {name}"][: 2 if i else 1]]
        owner = torch.tensor([i for i in range(len(classnames)) for _ in range(2 if i else 1)])
        words = tokenize_with_context(backbone.prompt_tokenizer, self.words, 4, names)
        return replace(words, owner=owner)


@pytest.mark.parametrize("shape", VITS)
def test_context_per_image_enters_unequal_numbers_of_texts(shape):
    of = backbone(shape)
    out, model = outputs(of, Unequal())
    text, owner = model.class_text.text, model.class_text.text.owner
    assert out.texts.shape[:2] == (3, len(owner)) and out.text.shape[:2] == (3, len(NAMES))
    for i, context in enumerate(model.learner().conditional(out.image["image"])):
        expected = normalise(of.encode_text(text, Prompts(text=context)))
        torch.testing.assert_close(out.texts[i], expected, rtol=0, atol=1e-5)
        means = torch.stack([expected[owner == label].mean(0) for label in range(len(NAMES))])
        torch.testing.assert_close(out.text[i], normalise(means), rtol=0, atol=1e-5)
