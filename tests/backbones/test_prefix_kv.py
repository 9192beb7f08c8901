"""Prefix keys and values equal the reference in both towers, mixed or single."""

import pytest
import torch
import torch.nn.functional as F

import textbook
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import normalise
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.backbones.prefix_kv import PrefixKeyValues
from cliptune.backbones.tokenized_text import tokenize_with_context
from cliptune.types import KeyValues, Prompts
from tiny_clips import NAMES, VITS, backbone, learned, normal, random_images, same_gradients

NAMED = [name.replace("_", " ") for name in NAMES]


def mixed(width: int, depth: int, longest: int, seed: int) -> tuple[list, tuple[KeyValues | None, ...], list]:
    """Arguments of the reference, of the towers, and the leaf tensors: options of 0..longest tokens per layer."""
    plain, prefix_kv, leaves = [], [], []
    for i in range(depth):
        own = [learned(m, width, seed=seed + 10 * i + m) for m in range(1, longest + 1)]
        alphas = learned(longest + 1, seed=seed + i)
        options = (normal(0, width), *own)
        plain.append((options, alphas.softmax(-1)))
        prefix_kv.append(KeyValues(options, alphas.softmax(-1)))
        leaves += [*own, alphas]
    return plain, tuple(prefix_kv), leaves


def alone(width: int, lengths: list[int], seed: int) -> tuple[list, tuple[KeyValues | None, ...], list]:
    """The same with one option per layer; 0 for none."""
    own = [learned(m, width, seed=seed + i) for i, m in enumerate(lengths)]
    prefix_kv = tuple(KeyValues((tokens,)) if len(tokens) else None for tokens in own)
    return [((tokens,), torch.ones(1)) for tokens in own], prefix_kv, [tokens for tokens in own if len(tokens)]


def cases(width: int, depth: int, kind: str) -> tuple[list, tuple[KeyValues | None, ...], list]:
    return mixed(width, depth, 3, 1) if kind == "mixed" else alone(width, [2, 0, 3, 1, 2][:depth], 1)


def compare(got, expected, leaves):
    torch.testing.assert_close(normalise(got), normalise(expected), rtol=0, atol=1e-5)
    direction = normal(*got.shape, seed=7)
    same_gradients((normalise(got) * direction).sum(), (normalise(expected) * direction).sum(), leaves)


both_kinds = pytest.mark.parametrize("kind", ["mixed", "alone"])


@both_kinds
@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("chunk", [4096, 20, 1])
def test_text(shape, kind, chunk):
    of = backbone(shape)
    plain, prefix_kv, leaves = cases(of.text_width, of.text_depth, kind)
    texts = [f"a photo of a {name}." for name in NAMED]
    got = PackedTextTower(of.model, of.onednn_dtypes, chunk)(of.tokenize(texts), Prompts(text_kv=prefix_kv))
    compare(got, textbook.text_features(of.model, textbook.tokens(of.prompt_tokenizer, texts), prefix_kv=plain), leaves)


@both_kinds
@pytest.mark.parametrize("per_class", [False, True])
def test_text_with_context_and_deep_tokens(kind, per_class):
    of = backbone("deep_text")
    plain, prefix_kv, leaves = cases(of.text_width, of.text_depth, kind)
    context = learned(*((len(NAMES), 3) if per_class else (3,)), of.text_width)
    deep = [learned(3, of.text_width, seed=90 + i) for i in range(2)]
    ids, _ = textbook.prompted(of.prompt_tokenizer, "a photo of a", NAMED)
    expected = textbook.text_features(of.model, ids, context, deep, prefix_kv=plain)
    sentences = tokenize_with_context(of.prompt_tokenizer, "a photo of a", 3, NAMES)
    got = of.encode_text(sentences, Prompts(text=context, text_deep=tuple(deep), text_kv=prefix_kv))
    compare(got, expected, [*leaves, context, *deep])


@pytest.mark.parametrize("chunk", [4096, 1])
def test_text_with_several_contexts(chunk):
    of = backbone("deep_text")
    plain, prefix_kv, leaves = cases(of.text_width, of.text_depth, "mixed")
    contexts = learned(2, 3, of.text_width)
    ids, _ = textbook.prompted(of.prompt_tokenizer, "a photo of a", NAMED)
    expected = torch.stack([textbook.text_features(of.model, ids, context, prefix_kv=plain) for context in contexts])
    sentences = tokenize_with_context(of.prompt_tokenizer, "a photo of a", 3, NAMES)
    got = PackedTextTower(of.model, of.onednn_dtypes, chunk).per_context(
        sentences, contexts, Prompts(text_kv=prefix_kv)
    )
    compare(got, expected, [*leaves, contexts])


@both_kinds
@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("backend", ["onednn", "torch"])
def test_images(shape, kind, backend):
    of = backbone(shape, backend)
    plain, prefix_kv, leaves = cases(of.image_width, of.image_depth, kind)
    got = of.encode_image(random_images(of), Prompts(image_kv=prefix_kv))
    compare(got, textbook.image_features(of.model, random_images(of), prefix_kv=plain), leaves)


@both_kinds
def test_images_with_image_tokens(kind):
    of = backbone("deep_image")
    plain, prefix_kv, leaves = cases(of.image_width, of.image_depth, kind)
    prompts = [learned(2, of.image_width, seed=50 + i) for i in range(3)]
    expected = textbook.image_features(of.model, random_images(of), prompts, plain)
    compare(
        of.encode_image(random_images(of), Prompts(image=tuple(prompts), image_kv=prefix_kv)),
        expected,
        [*leaves, *prompts],
    )


def test_fewer_layers_than_the_tower_has():
    of = backbone("deep_image")
    plain, prefix_kv, leaves = alone(of.image_width, [2, 1, 0, 0], 1)
    got = of.encode_image(random_images(of), Prompts(image_kv=prefix_kv[:2]))
    compare(got, textbook.image_features(of.model, random_images(of), prefix_kv=plain), leaves)


def test_zero_prefix_tokens_change_nothing():
    of: Backbone = backbone("deep_image")
    assert Prompts(text_kv=(None, None), image_kv=(None,)).fixed_text and Prompts(image_kv=(None,)).fixed_image
    some = (None, KeyValues((learned(1, of.text_width),)))
    assert not Prompts(text_kv=some).fixed_text and not Prompts(image_kv=some).fixed_image
    empty = (KeyValues((normal(0, of.image_width),)),)
    assert torch.equal(of.encode_image(random_images(of), Prompts(image_kv=empty)), of.encode_image(random_images(of)))


@pytest.mark.parametrize("far", [0.0, 200.0, -200.0], ids=["near", "option", "sequence"])
def test_scores_that_differ_by_more_than_float32_can_exponentiate(far):
    """`far` is added to the scores of one option: exp(200) is infinite in float32, exp(-200) zero."""
    q, k, v = (normal(2, 1, n, 4, seed=n) for n in (3, 5, 5))
    v = v + 1
    keys, values, weights = normal(1, 3, 4, seed=8), normal(1, 3, 4, seed=9), torch.tensor([0.2, 0.3, 0.5])
    q[..., 0], k[..., 0], keys[..., 0] = 2.0, 0.0, torch.tensor([far, 0.0, 0.0])  # times 1/2, the scale
    leaves = [x.requires_grad_() for x in (q, k, v, keys, values, weights)]
    got = PrefixKeyValues(keys, values, (0, 1, 2), weights).attend(q, k, v)
    expected = torch.zeros_like(got)
    for weight, (a, b) in zip(weights, [(0, 0), (0, 1), (1, 3)], strict=True):
        more = [torch.cat([x, y[:, a:b].expand(2, -1, -1, -1)], 2).double() for x, y in ((k, keys), (v, values))]
        expected = expected + weight * F.scaled_dot_product_attention(q.double(), *more)
    torch.testing.assert_close(got.double(), expected.double(), rtol=0, atol=1e-5)
    for ours, reference in zip(
        torch.autograd.grad(got.sum(), leaves), torch.autograd.grad(expected.sum(), leaves), strict=True
    ):
        assert ours.isfinite().all() and (ours - reference).abs().max() <= 1e-4 * reference.abs().max().clamp_min(1e-2)


def test_bfloat16():
    of = backbone("deep_image")
    _, text, leaves = mixed(of.text_width, of.text_depth, 2, 1)
    _, image, more = mixed(of.image_width, of.image_depth, 2, 2)

    def features():
        words = normalise(of.encode_text(of.tokenize(["a cat.", "a sled dog."]), Prompts(text_kv=text)))
        return normalise(of.encode_image(random_images(of), Prompts(image_kv=image))), words

    with torch.autocast("cpu", torch.bfloat16):
        low = features()
    for near, exact in zip(low, features(), strict=True):
        assert (near - exact).abs().max() < 0.1
    sum(part[:, :5].sum() for part in low).backward()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in (*leaves, *more))
