"""Tokens that start at any layer, are inserted, mixed, per class or read out equal a plain computation."""

import pytest
import torch
import torch.nn.functional as F

import textbook
from backbones.test_padded_text_tower import TOWERS, encoding, tower
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.backbones.tokenized_text import tokenize_fixed, tokenize_templates, tokenize_with_context
from cliptune.errors import UserError
from cliptune.types import Prompts
from tiny_clips import NAMES, VITS, backbone, learned, normal, random_images, same_gradients


def plain_image(of, images, tokens, mix=1.0):
    """Class token, patches and learned tokens after `ln_post`: every token through every block."""
    vit = of.visual
    patches = vit.conv1(images).flatten(2).transpose(1, 2)
    x = torch.cat([vit.class_embedding.expand(len(patches), 1, -1), patches], 1) + vit.positional_embedding
    x, fixed = vit.ln_pre(x), 1 + patches.shape[1]
    for i, block in enumerate(vit.transformer.resblocks):
        own = tokens[i] if i < len(tokens) else None
        if own is not None:
            own = (vit.ln_pre(own) if i == 0 else own).expand(len(x), -1, -1)
            own = own if x.shape[1] == fixed else mix * own + (1 - mix) * x[:, fixed:]
            x = torch.cat([x[:, :fixed], own], 1)
        x = block(x)
    return vit.ln_post(x), fixed


LAYERS = {
    "from the second": (None, 0, 1, 2),
    "with a gap": (None, 0, None, 2),
    "carried to the end": (0, 1, None, None),
    "the last alone": (None, None, None, 0),
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("mix", [1.0, 0.3])
def test_image_tokens(layers, mix):
    of = backbone("deep_image")
    leaves = {i: learned(2, of.image_width, seed=i) for i in layers if i is not None}
    tokens = tuple(None if i is None else leaves[i] for i in layers)
    images = random_images(of)
    got = of.encode_image_parts(images, Prompts(image=tokens, mix=mix), tokens=True, patches=True)
    x, fixed = plain_image(of, images, tokens, mix)
    expected = x[:, 0] @ of.visual.proj, x[:, fixed:], x[:, 1:fixed] @ of.visual.proj
    for one, other in zip((got.features, got.tokens, got.patches), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    loss = (F.normalize(got.features, dim=-1)[:, :5].sum() + got.tokens[..., :7].sum() + got.patches[..., :3].sum()) / 9
    plain = (F.normalize(expected[0], dim=-1)[:, :5].sum() + x[:, fixed:, :7].sum() + expected[2][..., :3].sum()) / 9
    same_gradients(loss, plain, [leaves[i] for i in leaves])


def plain_text(of, sentences, inserted=(), deep=(), mix=1.0, at=1):
    """Features of texts whose inserted tokens pass every block like other tokens."""
    clip = of.model
    x = clip.token_embedding(sentences.ids) + clip.positional_embedding[: sentences.ids.shape[1]]
    count, end = 0, sentences.pool_index
    for i, block in enumerate(clip.transformer.resblocks):
        own = inserted[i] if i < len(inserted) else None
        if own is not None:
            own = own.expand(len(x), -1, -1)
            own = mix * own + (1 - mix) * x[:, at : at + count] if count else own
            x = torch.cat([x[:, :at], own, x[:, at + count :]], 1)
            end, count = end + own.shape[1] - count, own.shape[1]
        own = deep[i - 1] if 0 < i <= len(deep) else None
        if own is not None:
            own, first = own.expand(len(x), -1, -1), at + count
            x = torch.cat([x[:, :first], own, x[:, first + own.shape[1] :]], 1)
        mask = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
        x = block(x, attn_mask=mask)
    return clip.ln_final(x)[torch.arange(len(x)), end] @ clip.text_projection


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("mix", [1.0, 0.3])
@pytest.mark.parametrize("chunk", [4096, 12])
@pytest.mark.parametrize("layers", [(0, 1, 2), (None, 0, 1), (None, 0, None), (None, None, 0)], ids=str)
def test_inserted_text_tokens(shape, mix, chunk, layers):
    of = backbone(shape)
    leaves = {i: learned(2, of.text_width, seed=i) for i in layers if i is not None}
    inserted = tuple(None if i is None else leaves[i] for i in layers)
    sentences = tokenize_templates(of.prompt_tokenizer, ["a photo of a {}, a type of thing."], NAMES)
    own = PackedTextTower(of.model, of.onednn_dtypes, chunk)
    got = own(sentences, Prompts(text_inserted=inserted, mix=mix))
    expected = plain_text(of, sentences, inserted, mix=mix)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    same_gradients(got[:, :5].sum(), expected[:, :5].sum(), [leaves[i] for i in leaves])


@pytest.mark.parametrize("chunk", [4096, 12])
def test_deep_tokens_per_class(chunk):
    of = backbone("deep_text")
    own = learned(len(NAMES), 2, of.text_width)
    sentences = tokenize_templates(of.prompt_tokenizer, ["a photo of a {}."], NAMES)
    cut = PackedTextTower(of.model, of.onednn_dtypes, chunk)
    got = cut(sentences, Prompts(text_deep=(None, None, own)))
    expected = plain_text(of, sentences, deep=(None, None, own))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    same_gradients(got[:, :5].sum(), expected[:, :5].sum(), [own])


def test_deep_tokens_at_an_offset():
    """`context_start` moves where deep prompts go."""
    from dataclasses import replace

    of = backbone("deep_text")
    own = learned(2, of.text_width)
    sentences = replace(tokenize_templates(of.prompt_tokenizer, ["a photo of a {}."], NAMES), context_start=3)
    got = of.text_tower(sentences, Prompts(text_deep=(own,)))
    torch.testing.assert_close(got, plain_text(of, sentences, deep=(own,), at=3), rtol=1e-4, atol=1e-4)


def test_a_prefix_that_is_not_shared_changes_nothing():
    of = backbone("deep_text")
    context = learned(3, of.text_width)
    sentences = tokenize_with_context(of.prompt_tokenizer, "a photo of", 3, NAMES)
    one, other = (of.text_tower(sentences, Prompts(context, share_prefix=shared)) for shared in (True, False))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    same_gradients(one[:, :5].sum(), other[:, :5].sum(), [context])
    with pytest.raises(UserError, match="share_prefix"):
        of.text_tower(sentences, Prompts(text_inserted=(context,), share_prefix=False))


@pytest.mark.parametrize("kind", TOWERS)
def test_padded_towers(kind):
    """Inserted and per-class tokens in towers that are not causal: every block on the whole sequence."""
    from cliptune.backbones.padded_text_tower import PaddedTextTower

    module = tower(**TOWERS[kind])
    sentences = tokenize_fixed(encoding(module, True), [f"a photo of a {name}." for name in ("cat", "sled dog")])
    own, deep = learned(2, 64), learned(2, 3, 64, seed=1)
    cut = PaddedTextTower(module)
    got = cut(sentences, Prompts(text_inserted=(None, own), text_deep=(None, deep)))
    at, count = sentences.context_start, 2
    x = cut.embed(sentences, None)
    blocks = module.transformer.resblocks
    x = blocks[0](x, attn_mask=_additive(cut.mask(sentences.ids), x))
    x = torch.cat([x[:, :at], own.expand(len(x), -1, -1), x[:, at:]], 1)
    mask = _additive(cut.mask(sentences.ids, at, count), x)
    x = blocks[1](x, attn_mask=mask)
    first = at + count
    x = torch.cat([x[:, :first], deep, x[:, first + 3 :]], 1)
    x = blocks[2](x, attn_mask=mask)
    end = x.shape[1] - 1 if module.cls_emb is not None else sentences.pool_index + count
    pooled = module.ln_final(x[torch.arange(len(x)), end])
    projection = module.text_projection
    expected = (
        pooled
        if projection is None
        else (projection(pooled) if isinstance(projection, torch.nn.Module) else pooled @ projection)
    )
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    same_gradients(got[:, :5].sum(), expected[:, :5].sum(), [own, deep])


def _additive(mask, x):
    """The boolean mask as open_clip adds it, per head."""
    if mask is None:
        return None
    full = mask.expand(len(x), 2, x.shape[1], x.shape[1]).flatten(0, 1)
    return torch.zeros(full.shape).masked_fill(~full, float("-inf"))


def test_the_first_token_sees_no_inserted_one():
    """Start-of-text comes first, so inserted tokens leave it as it is (MMRL)."""
    of = backbone("deep_text")
    sentences = tokenize_fixed(of.prompt_tokenizer, ["cat"])
    own = normal(2, of.text_width, seed=4)
    mask = textbook.text_features  # the reference without inserted tokens
    assert not torch.allclose(
        of.text_tower(sentences, Prompts(text_inserted=(own,))), mask(of.model, F.pad(sentences.ids, (0, 77 - 3)))
    )
