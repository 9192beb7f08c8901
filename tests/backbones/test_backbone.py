"""Properties of a backbone, and text features from prompts."""

import copy

import pytest
import torch
import torch.nn.functional as F

import tiny_clips
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import normalise
from cliptune.backbones.tokenized_text import tokenize_templates
from cliptune.backbones.tokenizer import ClipTokenizer
from cliptune.errors import UserError


@pytest.mark.parametrize("shape", tiny_clips.VITS)
def test_sizes_are_read_from_the_model(shape):
    backbone, config = tiny_clips.backbone(shape), tiny_clips.SHAPES[shape]
    text, vision = config["text_cfg"], config["vision_cfg"]
    assert (backbone.text_width, backbone.text_depth) == (text["width"], text["layers"])
    assert (backbone.image_width, backbone.image_depth) == (vision["width"], vision["layers"])
    side = vision["image_size"] // vision["patch_size"]
    assert backbone.patch_grid == (side, side) and backbone.image_size == vision["image_size"]
    assert backbone.context_length == 77 and backbone.has_vit
    assert backbone.preprocess.mean == (0.5, 0.5, 0.5) and backbone.logit_scale.item() == pytest.approx(100)


def test_text_features_of_a_class_are_averaged_after_normalisation():
    backbone = tiny_clips.backbone("deep_text")
    templates, names = ("a {}.", "{} it is", "the old {} there."), ("cat", "sled_dog")
    got = backbone.class_features(tokenize_templates(backbone.prompt_tokenizer, templates, names))
    for row, name in zip(got, ("cat", "sled dog"), strict=True):
        each = F.normalize(backbone.encode_text(backbone.tokenize([t.format(name) for t in templates])), dim=-1)
        torch.testing.assert_close(row, F.normalize(each.mean(0), dim=0), rtol=0, atol=1e-5)


def test_normalise_is_exact_and_in_single_precision():
    x = tiny_clips.normal(3, 8).to(torch.bfloat16)
    assert normalise(x).dtype == torch.float32
    torch.testing.assert_close(normalise(x).norm(dim=-1), torch.ones(3))


def test_start_and_end_tokens_and_the_context_length():
    backbone = tiny_clips.backbone("deep_image")
    ids = backbone.prompt_tokenizer("a photo of a cat.")
    assert ids[0] == 49406 and ids[-1] == 49407 and len(ids) == 8
    assert len(backbone.prompt_tokenizer("x " * 75)) == 77
    with pytest.raises(UserError, match=r"^the sentence 'x x .*\.\.\.' has 78 tokens, but 'deep_image' accepts 77"):
        backbone.prompt_tokenizer("x " * 76)


def test_words_are_embedded_as_one_vector_per_token():
    backbone = tiny_clips.backbone("deep_image")
    table = backbone.text.token_embedding.weight
    vectors = backbone.embed_words("a photo of a", 2)
    assert torch.equal(vectors, table[backbone.prompt_tokenizer("a photo of a")[1:3]])
    vectors.zero_()
    assert table[backbone.prompt_tokenizer("a")[1]].any(), "the table was changed through it"


def test_towers_are_rebuilt_after_a_move():
    backbone = Backbone("x", copy.deepcopy(tiny_clips.backbone("deep_image").model), None, linear_backend="torch")
    images = tiny_clips.random_images(backbone)
    before = backbone.encode_image(images)
    backbone.model.visual.proj.data *= 2
    backbone.double()
    assert backbone.encode_image(images.double()).dtype == torch.float64
    torch.testing.assert_close(backbone.encode_image(images.double()).float(), 2 * before, rtol=1e-3, atol=1e-3)


def test_unknown_names_are_reported():
    backbone = tiny_clips.backbone("deep_image")
    strange = Backbone("odd", backbone.model, backbone.tokenizer, False, lambda ids: {i for i in ids if i == 2368})
    with pytest.warns(UserWarning, match=r"^backbone 'odd' was not trained on 'cat' in the class name 'black_cat'$"):
        strange.prompt_tokenizer.check_names(("dog", "black_cat"))
    backbone.prompt_tokenizer.check_names(("cat",))


def test_features_are_float32_under_autocast():
    backbone = Backbone(
        "x", tiny_clips.backbone("deep_image").model, tiny_clips.backbone("deep_image").tokenizer, False
    )
    plain = normalise(backbone.encode_image(tiny_clips.random_images(backbone)))
    backbone.autocast = lambda: torch.autocast("cpu", torch.bfloat16)
    rounded = normalise(backbone.encode_image(tiny_clips.random_images(backbone)))
    assert rounded.dtype == torch.float32 and not torch.equal(plain, rounded)
    assert (plain * rounded).sum(-1).min() > 0.99


@pytest.mark.parametrize(
    "text", ["a photo of a cat.", "CamelCase & Ünïcode—dash", "x" * 200, "it's 12345", "", "  spaces\t and\nlines "]
)
def test_the_tokenizer_equals_clips(text):
    import open_clip

    assert ClipTokenizer(77).encode(text) == open_clip.SimpleTokenizer().encode(text)


def test_the_tokenizer_reads_only_openais_special_tokens():
    tokenizer = ClipTokenizer(77)
    assert tokenizer.encode("<|startoftext|>cat<|endoftext|>") == [49406, *tokenizer.encode("cat"), 49407]
    assert not {49406, 49407} & set(tokenizer.encode("<start_of_text> cat <end_of_text>"))
    assert tokenizer.decode([49407]).strip() == "<|endoftext|>"
