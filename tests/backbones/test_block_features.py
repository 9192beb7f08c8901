"""Pooled tokens after each block equal the reference, with all optimisations of the towers."""

from contextlib import contextmanager

import pytest
import torch

import textbook
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.backbones.tokenized_text import tokenize_with_context
from cliptune.methods.dapt import Dapt
from cliptune.methods.restore import Restore
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, Prompts, State
from tiny_clips import NAMES, VITS, backbone, learned, random_images, same_gradients

WORDS = "a photo of a"
CLEAN = [name.replace("_", " ") for name in NAMES]


@contextmanager
def inputs_of(modules):
    """The inputs of these modules in the reference pass, in order."""
    inputs = []
    hooks = [m.register_forward_pre_hook(lambda _, given: inputs.append(given[0])) for m in modules]
    yield inputs
    for hook in hooks:
        hook.remove()


def text_by_hand(of, context, deep):
    """`(n, width)` at end-of-text after each block: the input of the next block or of the final norm."""
    ids, _ = textbook.prompted(of.prompt_tokenizer, WORDS, CLEAN)
    with inputs_of([*list(of.text.transformer.resblocks)[1:], of.text.ln_final]) as inputs:
        textbook.text_features(of.model, ids, context, deep)
    return [x[torch.arange(len(ids)), ids.argmax(-1)] for x in inputs]


def image_by_hand(of, images, prompts):
    """`(b, width)` of the class token, likewise."""
    tower = of.visual
    with inputs_of([*(block.ln_1 for block in list(tower.transformer.resblocks)[1:]), tower.ln_post]) as inputs:
        textbook.image_features(of.model, images, prompts)
    return [*(x[:, 0] for x in inputs[:-1]), inputs[-1]]


def compare(got, expected, leaves):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    same_gradients(sum(x[:, :7].sum() for x in got), sum(x[:, :7].sum() for x in expected), leaves)


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("chunk", [4096, 12], ids=["whole", "in pieces"])
def test_text(shape, chunk):
    of = backbone(shape)
    context, deep = learned(3, of.text_width), [learned(3, of.text_width, seed=1)]
    tower = PackedTextTower(of.text, of.onednn_dtypes, chunk)
    sentences = tokenize_with_context(of.prompt_tokenizer, WORDS, 3, NAMES)
    features, blocks = tower.with_block_features(sentences, Prompts(context, tuple(deep)))
    compare(blocks, text_by_hand(of, context, deep), [context, *deep])
    assert torch.equal(features, tower(sentences, Prompts(context, tuple(deep))))


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_images(shape, depth):
    of = backbone(shape)
    prompts, images = [learned(2, of.image_width, seed=i) for i in range(depth)], random_images(of)
    own = Prompts(image=tuple(prompts))
    out = of.encode_image_parts(images, own, blocks=True)
    expected = image_by_hand(of, images, prompts)
    if prompts:
        compare(out.blocks, expected, prompts)
    for got, one in zip(out.blocks, expected, strict=True):
        torch.testing.assert_close(got, one, rtol=1e-4, atol=1e-4)
    assert torch.equal(out.features, of.encode_image(images, own))


def test_a_model_records_class_prompts_and_the_whole_image_only():
    of = backbone("deep_image")
    model = TunedModel(of, Dapt(base=Restore(depth=2)), NAMES).train()
    images = random_images(of)
    batch = Batch(images, torch.tensor([0, 1, 2]), (images[:, :1] > 0).float())
    blocks = model(model.method.views(batch), State(0, 10)).block_features
    assert blocks is not None
    assert [x.shape for x in blocks.text] == [(len(NAMES), of.text_width)] * of.text_depth
    assert [x.shape for x in blocks.image] == [(3, of.image_width)] * of.image_depth
    expected = image_by_hand(of, images, model.learner().image)[1]
    torch.testing.assert_close(blocks.image[1], expected, rtol=1e-4, atol=1e-4)


def test_block_features_are_recorded_where_losses_use_them_or_on_request():
    of = backbone("deep_image")
    views = {"image": random_images(of)}
    restore, norms = (TunedModel(of, Restore(depth=2, shift=kind), NAMES) for kind in ("features", "norms"))
    assert restore.train()(views, State(0, 10)).block_features is not None
    assert norms.train()(views, State(0, 10)).block_features is None
    assert restore.eval()(views).block_features is None
    for model in (norms, TunedModel(of, ZeroShot(), NAMES)):
        plain, recorded = model.eval()(views), model(views, record=True)
        assert torch.equal(plain.logits, recorded.logits) and recorded.block_features is not None
        assert len(recorded.block_features.text) == of.text_depth
        assert len(recorded.block_features.image) == of.image_depth
