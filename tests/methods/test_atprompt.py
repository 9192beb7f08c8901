from dataclasses import replace

import pytest
import torch

import narrow_configs
import tiny_clips
from cliptune import methods, presets
from cliptune.backbones.load import load_backbone
from cliptune.errors import UserError
from cliptune.methods.atprompt import ATPrompt
from cliptune.methods.cocoop import CoCoOp
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import Dapt
from cliptune.methods.maple import Maple
from cliptune.model.tuned_model import TunedModel
from cliptune.types import State
from contracts.test_methods import suited
from tiny_tasks import QUICK, learned, model, task, trained

COOP = CoOp(n_ctx=2)
NAMES = ("cat", "old_fashioned little red steam locomotive", "x")
#: Methods that a wrapper can wrap.
TRAINED = [name for name in methods.names() if methods.get(name).trains and name not in methods.wrapper_names()]


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_text")


def sentences(method, backbone, names=NAMES):
    return method.class_prompts(backbone, names, ("a photo of a {}.",))


def fixed(backbone, texts):
    return backbone.tokenize(texts)


@pytest.mark.parametrize("attributes", [("color",), ("color", "shape"), ("playfulness", "wing span", "habitat")])
def test_the_sentences(attributes, backbone):
    text = sentences(ATPrompt(COOP, attributes), backbone)
    words = " ".join(f"X X {attribute}" for attribute in attributes)
    written = fixed(backbone, [f"{words} X X {name.replace('_', ' ')}." for name in NAMES])
    assert torch.equal(text.ids, written.ids) and torch.equal(text.pool_index, written.pool_index)
    blank = backbone.prompt_tokenizer.word_ids("X")[0]
    for ids, slots in zip(text.ids.tolist(), text.slots.tolist(), strict=True):
        learned_at = [i for i, slot in enumerate(slots) if slot >= 0]
        assert [slots[i] for i in learned_at] == [*range(2 * len(attributes) + 2)]
        context = [i for i, token in enumerate(ids) if token == blank][: len(learned_at)]
        assert learned_at == context and text.context_start == learned_at[-2]


def test_the_release_cuts_words_of_several_tokens(backbone):
    method = ATPrompt(COOP, ("playfulness", "energy"), compat="release")
    text, whole = sentences(method, backbone), sentences(replace(method, compat="paper"), backbone)
    assert torch.equal(text.ids, whole.ids) and torch.equal(text.pool_index, whole.pool_index)
    assert text.slots[0, :11].tolist() == [-1, 0, 1, -1, 2, 3, -1, 4, 5, -1, -1]
    assert whole.slots[0, :11].tolist() == [-1, 0, 1, -1, -1, 2, 3, -1, 4, 5, -1]
    assert (text.context_start, whole.context_start) == (7, 8)
    one = ATPrompt(COOP)
    assert torch.equal(sentences(one, backbone).slots, sentences(replace(one, compat="release"), backbone).slots)
    with pytest.raises(UserError, match="set position=end"):
        TunedModel(backbone, ATPrompt(replace(COOP, position="middle"), compat="release"), NAMES)


def written_out(model, backbone):
    """Features of the sentences with word embeddings in place of all learned vectors."""
    return backbone.encode_text(
        fixed(backbone, [f"big color red shape a photo {name.replace('_', ' ')}." for name in NAMES])
    )


@pytest.mark.parametrize(
    "base", [CoOp(words="a photo"), CoOp(n_ctx=2, class_specific=True), CoCoOp(words="a photo"), Maple(2, 1, "a photo")]
)
def test_features_equal_those_of_the_words_in_place_of_vectors(base, backbone):
    backbone = backbone if not isinstance(base, Maple) else tiny_clips.backbone("deep_image")
    model = TunedModel(backbone, ATPrompt(base, n_ctx_attribute=1), NAMES).eval()
    context = backbone.embed_words("a photo", 2)
    with torch.no_grad():
        for vectors, word in zip(model.learner.attributes, ("big", "red"), strict=True):
            vectors.copy_(backbone.embed_words(word, 1))
        for name, parameter in model.learner.base.named_parameters():
            parameter.copy_(context) if name.startswith("text") else parameter.zero_()
        image = torch.eye(2, backbone.embed_dim)
        features, _ = model.encode_classes(prompts=replace(model.prompts(), image=()), image=image)
        expected = written_out(model, backbone)
    expected = expected / expected.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(features, expected.expand_as(features), rtol=0, atol=1e-5)


def test_deep_prompts_replace_the_context_before_the_name_alone(backbone):
    model = TunedModel(backbone, ATPrompt(Maple(2, 2, ""), ("color",)), NAMES).eval()
    clip, prompts = backbone.model, model.prompts()
    with torch.no_grad():
        vectors, deep = (torch.randn(n, 96, generator=torch.Generator().manual_seed(n)) for n in (4, 2))
        x = clip.token_embedding(fixed(backbone, [f"X X color X X {name.replace('_', ' ')}." for name in NAMES]).ids)
        x[:, 1:3], x[:, 4:6] = vectors[:2], vectors[2:]  # the attribute is at 3, the name from 6 on
        x = x + clip.positional_embedding[: x.shape[1]]
        for i, block in enumerate(clip.transformer.resblocks):
            if i == 1:
                x[:, 4:6] = deep
            x = block(x, attn_mask=clip.attn_mask[: x.shape[1], : x.shape[1]])
        end = model.class_text.text.pool_index
        expected = clip.ln_final(x)[torch.arange(len(x)), end] @ clip.text_projection
        got = backbone.encode_text(model.class_text.text, replace(prompts, text=vectors, text_deep=(deep,), image=()))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def test_images_see_the_vectors_before_the_name_alone(backbone):
    model = TunedModel(backbone, ATPrompt(Maple(2, 2, "")), NAMES)
    alone = model.learner.base()
    assert all(torch.equal(one, other) for one, other in zip(model.prompts().image, alone.image, strict=True))


@pytest.mark.parametrize("name", TRAINED)
def test_methods_without_learned_context_are_refused(name):
    backbone, method = tiny_clips.backbone("deep_image"), suited(name)
    context = bool((sentences(method, backbone).slots >= 0).any())
    try:
        model(ATPrompt(method), backbone, task())
    except UserError as error:
        assert not context and f"{type(method).__name__} has none there; wrap a method that has" in str(error)
    else:
        assert context


def test_with_dapt_background_prompts_stay_as_they_are(backbone):
    model = TunedModel(backbone, Dapt(ATPrompt(COOP)), NAMES).train()
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    views = {"image": images, "foreground": images, "background": images}
    out = model(views, State(9, 10))
    plain = backbone.class_features(fixed(backbone, model.method.extra_prompts(State(9, 10))))
    torch.testing.assert_close(out.extra_text, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP", "coca_base", "RN50"])
def test_other_text_towers(name, tmp_path):
    with narrow_configs.narrow_timm():
        backbone = load_backbone(str(narrow_configs.folder(name, tmp_path / name)), linear_backend="torch")
    text = sentences(ATPrompt(COOP, ("color", "size")), backbone)
    alone = sentences(COOP, backbone)
    full = backbone.prompt_tokenizer.full_length
    assert text.ids.shape[1] == (alone.ids.shape[1] if full else alone.ids.shape[1] + 6)
    tuned, history = trained(ATPrompt(COOP, ("color", "size")), backbone, replace(QUICK, epochs=1))
    assert history and all(x.isfinite().all() for x in learned(tuned).values())


def test_sentences_that_are_too_long(backbone):
    long = ATPrompt(CoOp(n_ctx=16), ("color", "shape", "size"))
    assert sentences(long, backbone, ("cat",)).ids.shape[1] <= 77
    with pytest.raises(UserError, match=r"with the attributes color, shape, size, a sentence is longer than the 77"):
        sentences(long, backbone, ("cat", "very " * 20))


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"attributes": ()}, "attributes must be 1 to 3 words or phrases"),
        ({"attributes": ("a", "b", "c", "d")}, "attributes must be 1 to 3"),
        ({"attributes": ("color", " ")}, "attributes must be 1 to 3"),
        ({"attributes": ("co\nlor\x00",)}, "attribute"),
        ({"n_ctx_attribute": -1}, "n_ctx_attribute must be"),
    ],
)
def test_bad_values(fields, message):
    with pytest.raises(UserError, match=message):
        ATPrompt(**fields)


def test_attributes_of_a_dataset_come_from_its_preset():
    run = presets.get("maple+atprompt", backbone="ViT-B-16", pretrained="openai", protocol="base_to_novel", data="dtd")
    assert run.method.attributes == ("pattern", "color", "design") and run.method.base.words == ""
    other = presets.get("maple+atprompt", backbone="ViT-B-16", protocol="cross_dataset", data="imagenet")
    assert other.method.attributes == ("color", "shape") and other.method.base.depth == 3


def test_vectors_start_small_and_random(backbone):
    vectors = TunedModel(backbone, ATPrompt(CoOp(n_ctx=16)), NAMES).learner.attributes
    assert [tuple(x.shape) for x in vectors] == [(16, 96)] * 2
    assert all(0.009 < x.std() < 0.011 for x in vectors) and not torch.equal(*vectors)
