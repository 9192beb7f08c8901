"""Text towers with any mask and pooling equal open_clip's modules, with learned tokens in place."""

import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import TextTransformer
from torch import Tensor

import textbook
from cliptune.backbones.frozen_linear import onednn_dtypes
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.backbones.padded_text_tower import FrozenTextTower, PaddedTextTower
from cliptune.backbones.prompt_tokenizer import PromptTokenizer
from cliptune.backbones.tokenized_text import TokenizedText, average_embeddings, tokenize_fixed, tokenize_with_context
from cliptune.backbones.tokenizer import ClipTokenizer
from cliptune.types import KeyValues, Prompts
from tiny_clips import NAMES, learned, normal, same_gradients

LENGTH, WIDTH = 24, 64
WORDS = "a photo of a"
SIZES = {"context_length": LENGTH, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 3, "output_dim": 32}
#: Towers that are not causal or end in a class token: like SigLIP, CLIPA, MobileCLIP and CoCa.
TOWERS = {
    "siglip": {"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
    "first": {"no_causal_mask": True, "pool_type": "first", "use_pad_mask": True},
    "argmax": {"no_causal_mask": True, "proj_type": "none"},
    "eos": {"no_causal_mask": True, "pool_type": "eos", "eos_id": 49407, "use_pad_mask": True},
    "coca": {"embed_cls": True, "output_tokens": True},
    "correct": {"embed_cls": True, "correct_cls_mask": True},
    "both": {"embed_cls": True, "no_causal_mask": True, "pad_id": 320},  # also the token of "a"
}
CAUSAL = {
    "argmax": {},
    "last": {"pool_type": "last", "proj_type": "none"},
    "first": {"pool_type": "first"},
    "eos": {"pool_type": "eos", "eos_id": 49407, "proj_bias": True},
    "word": {"pool_type": "eos", "eos_id": 320},  # no end-of-text: the first "a", or the first token of all
}


def tower(**options) -> TextTransformer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = TextTransformer(**SIZES, **options).eval().requires_grad_(False)
        for parameter in module.parameters():
            parameter += torch.randn(parameter.shape) * 0.1
    return module


def encoding(module: TextTransformer, whole: bool) -> PromptTokenizer:
    return PromptTokenizer("x", ClipTokenizer(LENGTH), LENGTH, module.pool_type, module.eos_id, whole)


def padded(sentences: TokenizedText) -> Tensor:
    """Ids as the tokenizer pads them."""
    return F.pad(sentences.ids, (0, LENGTH - sentences.ids.shape[1]))


def reference(module: TextTransformer, sentences: TokenizedText, prompts: Prompts) -> Tensor:
    """Features by the tower's blocks and mask, token by token."""
    ids, slots = padded(sentences), F.pad(sentences.slots, (0, LENGTH - sentences.ids.shape[1]), value=-1)
    x, mask = module._embeds(ids)
    if prompts.text is not None:
        token = module.token_embedding(ids)
        for row in range(len(ids)):
            for position in range(LENGTH):
                slot = int(slots[row, position])
                if slot >= 0:
                    vector = prompts.text[slot] if prompts.text.ndim == 2 else prompts.text[row, slot]
                    at = torch.zeros(x.shape[:2] + (1,))
                    at[row, position] = 1
                    x = x + at * (vector - token[row, position])
    for i, block in enumerate(module.transformer.resblocks):
        if 1 <= i <= len(prompts.text_deep):
            own = prompts.text_deep[i - 1].expand(len(x), -1, -1)
            x = torch.cat([x[:, :1], own, x[:, 1 + own.shape[1] :]], 1)
        prefix = prompts.text_kv[i] if prompts.text_kv else None
        x = textbook.attended(block, x, prefix.options, prefix.weights, mask) if prefix else block(x, attn_mask=mask)
    if module.cls_emb is not None:
        pooled = module.ln_final(x[:, -1])
    else:
        at = {"first": torch.zeros(len(x)), "last": torch.full((len(x),), LENGTH - 1), "argmax": ids.argmax(-1)}
        at["eos"] = (ids == module.eos_id).int().argmax(-1)
        pooled = module.ln_final(x)[torch.arange(len(x)), at[module.pool_type].long()]
    projection = module.text_projection
    if projection is None:
        return pooled
    return projection(pooled) if isinstance(projection, torch.nn.Linear) else pooled @ projection


def names() -> list[str]:
    return [name for name in NAMES if len(name) < 30]


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.detach().abs().max()))


def own(module: TextTransformer, ids: Tensor) -> Tensor:
    out = module(ids)
    return out[0] if isinstance(out, tuple) else out


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("chunk", [4096, 30])
def test_fixed_sentences(kind, chunk):
    module = tower(**TOWERS[kind])
    sentences = tokenize_fixed(encoding(module, True), [f"a photo of {name}" for name in names()])
    expected = own(module, sentences.ids)
    assert sentences.ids.shape[1] == LENGTH
    close(PaddedTextTower(module, chunk=chunk)(sentences, Prompts()), expected)
    close(FrozenTextTower(lambda ids: own(module, ids), chunk)(sentences, Prompts()), expected)


@pytest.mark.parametrize("kind", CAUSAL)
def test_causal_towers_share_and_pack_at_any_pooled_position(kind):
    module = tower(**CAUSAL[kind])
    sentences = tokenize_with_context(encoding(module, False), WORDS, 3, names())
    prompts = Prompts(text=learned(3, WIDTH), text_deep=(learned(3, WIDTH, seed=2),))
    close(PackedTextTower(module)(sentences, prompts), reference(module, sentences, prompts))
    fixed = tokenize_fixed(encoding(module, False), ["the cat", "a cat", "it is a red fox"])
    close(PackedTextTower(module)(fixed, Prompts()), own(module, padded(fixed)))


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("per_class", [False, True], ids=["shared", "per_class"])
def test_learned_context(kind, position, per_class):
    module = tower(**TOWERS[kind])
    sentences = tokenize_with_context(encoding(module, True), "", 4, names(), position)
    text = learned(*((len(names()),) * per_class), 4, WIDTH)
    prompts = Prompts(text=text, text_deep=(learned(4, WIDTH, seed=2), learned(4, WIDTH, seed=3)))
    got, expected = PaddedTextTower(module, chunk=30)(sentences, prompts), reference(module, sentences, prompts)
    close(got, expected)
    direction = normal(*got.shape, seed=7)
    same_gradients((got * direction).sum(), (expected * direction).sum(), [text, *prompts.text_deep])


@pytest.mark.parametrize("kind", ["siglip", "eos", "coca", "both"])
def test_prefix_keys_and_values(kind):
    module = tower(**TOWERS[kind])
    sentences = tokenize_fixed(encoding(module, True), [f"a photo of {name}" for name in names()])
    layers = [
        KeyValues((learned(2, WIDTH, seed=i), learned(3, WIDTH, seed=i + 5)), torch.tensor([0.3, 0.7]))
        for i in range(3)
    ]
    prompts = Prompts(text_kv=tuple(layers))
    got, expected = PaddedTextTower(module)(sentences, prompts), reference(module, sentences, prompts)
    close(got, expected)
    leaves = [tokens for layer in layers for tokens in layer.options]
    same_gradients(got.square().sum(), expected.square().sum(), leaves)


@pytest.mark.parametrize("chunk", [4096, 50])
def test_a_context_for_each_image(chunk):
    module = tower(**TOWERS["siglip"])
    sentences = tokenize_with_context(encoding(module, True), "", 2, names())
    contexts, deep = learned(3, 2, WIDTH), (learned(2, WIDTH, seed=2),)
    got = PaddedTextTower(module, onednn_dtypes("onednn"), chunk).per_context(
        sentences, contexts, Prompts(text_deep=deep)
    )
    expected = torch.stack([reference(module, sentences, Prompts(text=one, text_deep=deep)) for one in contexts])
    close(got, expected)
    same_gradients(got.square().sum(), expected.square().sum(), [contexts, *deep])


def test_block_features_are_the_pooled_tokens_after_each_block():
    module = tower(**TOWERS["coca"])
    sentences = tokenize_fixed(encoding(module, True), names())
    _, blocks = PaddedTextTower(module, chunk=30).with_block_features(sentences, Prompts())
    x, mask = module._embeds(sentences.ids)
    assert len(blocks) == 3
    for block, got in zip(module.transformer.resblocks, blocks, strict=True):
        x = block(x, attn_mask=mask)
        close(got, x[:, -1])


def test_blended_sentences():
    module = tower(**TOWERS["siglip"])
    templates = ("a photo of a {}.", "the {}.", "itap of my {}.")
    encode = encoding(module, True)
    got = PaddedTextTower(module)(average_embeddings(encode, module.token_embedding, templates, names()), Prompts())
    last = tokenize_fixed(encode, [f"itap of my {name.replace('_', ' ')}." for name in names()]).ids
    tokens = [
        module.token_embedding(tokenize_fixed(encode, [t.format(n.replace("_", " ")) for n in names()]).ids)
        for t in templates
    ]
    x = torch.stack(tokens).mean(0) + module.positional_embedding
    x = module.ln_final(module.transformer(x))[:, -1]
    assert last.shape == x.shape[:1] + (LENGTH,)
    close(got, module.text_projection(x))
