"""Both towers equal the reference, with all their optimisations."""

import pytest
import torch

import textbook
from cliptune.backbones import chunks, image_tower, length_buckets
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import normalise
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.backbones.tokenized_text import tokenize_templates, tokenize_with_context
from cliptune.errors import UserError
from cliptune.types import Prompts
from tiny_clips import NAMES, SHAPES, VITS, backbone, learned, normal, random_images, same_gradients

WORDS = "a photo of a"
BACKGROUND_PROMPTS = ("a clean origami sky.", "a clean origami railway bridge.", "x", "a clean origami water.")


def close(got, expected):
    torch.testing.assert_close(normalise(got), normalise(expected), rtol=0, atol=1e-5)


def deep_prompts(of: Backbone, n_ctx: int, depth: int) -> list:
    return [learned(n_ctx, of.text_width, seed=10 + i) for i in range(depth)]


def both(of: Backbone, position: str, per_class: bool, depth: int, n_ctx: int = 3, words: str = WORDS, tower=None):
    """Our features, those of the reference, and the leaf tensors."""
    shape = (len(NAMES), n_ctx) if per_class else (n_ctx,)
    context, deep = learned(*shape, of.text_width), deep_prompts(of, n_ctx, depth)
    names = [name.replace("_", " ") for name in NAMES]
    ids, lengths = textbook.prompted(of.prompt_tokenizer, words, names)
    expected = textbook.text_features(of.model, ids, context, deep, position, lengths)
    # Frozen words between context and name exist only with the name at the end.
    sentences = tokenize_with_context(of.prompt_tokenizer, words, n_ctx, NAMES, position)
    got = (tower or of.text_tower)(sentences, Prompts(text=context, text_deep=tuple(deep)))
    return got, expected, [context, *deep]


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("per_class", [False, True], ids=["shared", "per_class"])
@pytest.mark.parametrize("deep", [False, True], ids=["shallow", "deep"])
def test_text(shape, position, per_class, deep):
    of = backbone(shape)
    n_ctx, words = (3, WORDS) if position == "end" else (4, WORDS)
    got, expected, leaves = both(of, position, per_class, of.text_depth - 1 if deep else 0, n_ctx, words)
    close(got, expected)
    direction = normal(*got.shape, seed=7)
    same_gradients((normalise(got) * direction).sum(), (normalise(expected) * direction).sum(), leaves)


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("backend", ["onednn", "torch"])
def test_text_with_some_deep_layers_by_either_backend(shape, backend):
    got, expected, leaves = both(backbone(shape, backend), "end", False, 1, n_ctx=2)
    close(got, expected)
    same_gradients(normalise(got)[:, :5].sum(), normalise(expected)[:, :5].sum(), leaves)


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("per_class", [False, True], ids=["shared", "per_class"])
@pytest.mark.parametrize("chunk", [1, 20])
@pytest.mark.parametrize("budget", [0, None], ids=["recomputed", "kept"])
def test_the_chunk_size_does_not_matter(shape, per_class, chunk, budget):
    of = backbone(shape)
    cut = PackedTextTower(of.model, of.onednn_dtypes, chunk, budget)
    whole, _, leaves = both(of, "end", per_class, 2)
    pieces, _, own = both(of, "end", per_class, 2, tower=cut)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-5)
    direction = normal(*whole.shape, seed=7)
    for got, expected in zip(
        torch.autograd.grad((pieces * direction).sum(), own),
        torch.autograd.grad((whole * direction).sum(), leaves),
        strict=True,
    ):
        assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("per_class", [False, True], ids=["shared", "per_class"])
def test_a_bucket_for_each_length(shape, position, per_class, monkeypatch):
    monkeypatch.setattr(length_buckets, "BUCKET_COST", 0)
    of = backbone(shape)
    got, expected, leaves = both(of, position, per_class, of.text_depth - 1, 4)
    close(got, expected)
    direction = normal(*got.shape, seed=7)
    same_gradients((normalise(got) * direction).sum(), (normalise(expected) * direction).sum(), leaves)


def test_chunks_that_do_not_fit_are_recomputed_for_gradients(monkeypatch):
    of, calls = backbone("deep_text"), []
    monkeypatch.setattr(chunks, "checkpoint", lambda f, *a, **_: calls.append(len(a[0])) or f(*a))
    cut = PackedTextTower(of.model, of.onednn_dtypes, chunk=1, budget=0)
    with torch.no_grad():
        both(of, "end", False, 0, tower=cut)
    assert not calls
    both(of, "end", False, 0, tower=cut)
    assert calls == [1] * (len(NAMES) - 1), "the backward pass begins with the last"
    calls.clear()
    sentences = tokenize_with_context(of.prompt_tokenizer, WORDS, 3, NAMES)
    prefix = sentences.shared_prefix(True)
    sizes = [cut.activation_bytes(part, prefix) for _, part in sentences.pieces(1, prefix)]
    cut.budget = sum(sizes[-2:])
    both(of, "end", False, 0, tower=cut)
    assert calls == [1] * (len(NAMES) - 2)
    cut.budget = sum(sizes)
    both(of, "end", False, 0, tower=cut)
    assert len(calls) == len(NAMES) - 2


@pytest.mark.parametrize("shape", VITS)
def test_estimated_memory_of_activations(shape):
    """Bytes that autograd keeps and that weights do not share."""
    of, kept = backbone(shape), {}
    sentences = tokenize_with_context(of.prompt_tokenizer, WORDS, 3, NAMES)
    weights = {p.untyped_storage().data_ptr() for p in of.parameters()}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = of.text_tower(sentences, Prompts(text=learned(3, of.text_width)))
    used = sum(size for place, size in kept.items() if place not in weights)
    assert (
        out.requires_grad
        and 0.6 < used / of.text_tower.activation_bytes(sentences, sentences.shared_prefix(True)) < 1.4
    )


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("fit", [5, 2, 0.4], ids=["together", "two at a time", "cut between classes"])
def test_a_context_for_each_image(shape, depth, fit):
    of = backbone(shape)
    contexts, deep = learned(5, 3, of.text_width), deep_prompts(of, 3, depth)
    sentences = tokenize_with_context(of.prompt_tokenizer, WORDS, 3, NAMES)
    tokens = sentences.packed_tokens(sentences.shared_prefix(True))
    tower = PackedTextTower(of.model, of.onednn_dtypes, chunk=int(fit * tokens))
    got = tower.per_context(sentences, contexts, Prompts(text_deep=tuple(deep)))
    ids, _ = textbook.prompted(of.prompt_tokenizer, WORDS, [name.replace("_", " ") for name in NAMES])
    expected = torch.stack([textbook.text_features(of.model, ids, context, deep) for context in contexts])
    close(got, expected)
    direction = normal(*got.shape, seed=7)
    same_gradients((normalise(got) * direction).sum(), (normalise(expected) * direction).sum(), [contexts, *deep])


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize(
    "texts",
    [BACKGROUND_PROMPTS, BACKGROUND_PROMPTS[:1], (BACKGROUND_PROMPTS[0],) * 2, BACKGROUND_PROMPTS[1:3]],
    ids=["four", "one", "twice", "two"],
)
def test_sentences_without_context(shape, texts):
    of = backbone(shape)
    close(
        of.encode_text(of.tokenize(texts)),
        textbook.text_features(of.model, textbook.tokens(of.prompt_tokenizer, texts)),
    )


@pytest.mark.parametrize("n_ctx", [1, 2, 4])
def test_deep_prompts_enter_sentences_without_context(n_ctx):
    """DAPT's background prompts: layer 0 is frozen, deeper layers have the learned tokens at the same
    positions, words or not."""
    of = backbone("deep_text")
    deep = deep_prompts(of, n_ctx, of.text_depth - 1)
    got = of.encode_text(
        of.tokenize(BACKGROUND_PROMPTS), Prompts(text=learned(n_ctx, of.text_width), text_deep=tuple(deep))
    )
    expected = textbook.text_features(of.model, textbook.tokens(of.prompt_tokenizer, BACKGROUND_PROMPTS), None, deep)
    close(got, expected)
    same_gradients(normalise(got)[:, :5].sum(), normalise(expected)[:, :5].sum(), deep)


@pytest.mark.parametrize("shape", [*VITS, "resnet"])
def test_several_prompts_per_class(shape):
    of, templates = backbone(shape), ("a photo of a {}.", "{}", "a bad picture of many {} in the snow.")
    got = of.class_features(tokenize_templates(of.prompt_tokenizer, templates, NAMES))
    for row, name in zip(got, NAMES, strict=True):
        texts = [template.format(name.replace("_", " ")) for template in templates]
        each = textbook.unit(textbook.text_features(of.model, textbook.tokens(of.prompt_tokenizer, texts)))
        torch.testing.assert_close(row, textbook.unit(each.mean(0)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("depth", [0, 1, 2, None], ids=["none", "shallow", "two", "all"])
@pytest.mark.parametrize("backend", ["onednn", "torch"])
def test_images(shape, depth, backend):
    of = backbone(shape, backend)
    depth = of.image_depth if depth is None else depth
    prompts = [learned(2, of.image_width, seed=i) for i in range(depth)]
    images = random_images(of)
    own = Prompts(image=tuple(prompts))
    got, expected = of.encode_image(images, own), textbook.image_features(of.model, images, prompts)
    close(got, expected)
    assert got.requires_grad == bool(prompts)
    tokens = of.image_tower.before_last(images, own)
    assert tokens.shape == (3, 1 + of.patch_grid[0] * of.patch_grid[1] + 2 * bool(depth), of.image_width)
    if prompts:
        direction = normal(*got.shape, seed=7)
        same_gradients((normalise(got) * direction).sum(), (normalise(expected) * direction).sum(), prompts)


@pytest.mark.parametrize("learns", [False, True])
def test_images_pass_the_tower_in_parts_that_fit_into_caches(learns, monkeypatch):
    of = backbone("deep_image")
    own = Prompts(image=(learned(2, of.image_width),) if learns else ())
    images, passed = random_images(of).repeat(3, 1, 1, 1), []
    images *= torch.arange(1, 10)[:, None, None, None]
    expected = of.encode_image(images, own).detach()
    embed = of.image_tower._embed
    monkeypatch.setattr(of.image_tower, "_embed", lambda x: passed.append(len(x)) or embed(x))
    row = len(of.vit.positional_embedding) * of.vit.transformer.resblocks[0].mlp.c_fc.out_features * 4
    monkeypatch.setattr(image_tower, "PART_BYTES", 4 * row)
    with torch.no_grad():
        close(of.encode_image(images, own), expected)
    assert passed == [3, 3, 3]
    assert of.encode_image(images, own).requires_grad == learns
    assert passed[3:] == ([9] if learns else [3, 3, 3])  # a graph keeps all activations anyway
    of.encode_image_parts(images, own, patches=True)
    assert passed[-1] == 9


def test_prompts_of_different_lengths():
    of = backbone("deep_image")
    prompts = [learned(n, of.image_width, seed=n) for n in (3, 1, 2)]
    got, expected = (
        of.encode_image(random_images(of), Prompts(image=tuple(prompts))),
        textbook.image_features(of.model, random_images(of), prompts),
    )
    close(got, expected)
    same_gradients(normalise(got)[:, :5].sum(), normalise(expected)[:, :5].sum(), prompts)


@pytest.mark.parametrize("shape", SHAPES)
def test_graphs_exist_only_for_trainable_inputs(shape):
    of = backbone(shape)
    assert not of.encode_image(random_images(of)).requires_grad
    assert not of.encode_text(of.tokenize(BACKGROUND_PROMPTS)).requires_grad
    context = learned(2, of.text_width)
    sentences = tokenize_with_context(of.prompt_tokenizer, WORDS, 2, NAMES)
    assert of.encode_text(sentences, Prompts(text=context)).requires_grad
    with torch.no_grad():
        assert not of.encode_text(sentences, Prompts(text=context)).requires_grad
    assert all(p.grad is None and not p.requires_grad for p in of.parameters())


def test_a_resnet_has_text_prompts_only():
    of = backbone("resnet")
    got, expected, leaves = both(of, "end", False, 1)
    close(got, expected)
    same_gradients(normalise(got)[:, :5].sum(), normalise(expected)[:, :5].sum(), leaves)
    close(of.encode_image(random_images(of)), textbook.image_features(of.model, random_images(of)))
    with pytest.raises(UserError, match="resnet.*visual prompts"):
        of.encode_image(random_images(of), Prompts(image=(learned(2, 16),)))


@pytest.mark.parametrize("shape", VITS)
def test_bfloat16(shape):
    """Forward and backward run under bfloat16 and stay close; never the default."""
    of = backbone(shape)
    prompts, context = [learned(2, of.image_width)], learned(2, of.text_width)
    deep = tuple(deep_prompts(of, 2, 1))
    sentences = tokenize_with_context(of.prompt_tokenizer, WORDS, 2, NAMES)

    def features():
        text = of.class_features(sentences, Prompts(text=context, text_deep=deep))
        return normalise(of.encode_image(random_images(of), Prompts(image=tuple(prompts)))), text

    with torch.autocast("cpu", torch.bfloat16):
        low = features()
    for near, exact in zip(low, features(), strict=True):
        assert near.dtype == torch.float32 and (near - exact).abs().max() < 0.1
    sum(part[:, :5].sum() for part in low).backward()
    assert all(leaf.grad is not None and leaf.grad.dtype == torch.float32 for leaf in (context, *deep, *prompts))
