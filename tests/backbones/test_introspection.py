"""Which towers support learned tokens, how features are pooled, and the messages for unsupported towers."""

import copy
import math

import open_clip
import pytest
import torch

import tiny_clips
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import normalise
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.backbones.padded_text_tower import FrozenTextTower, PaddedTextTower
from cliptune.backbones.tokenizer import ClipTokenizer
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import Dapt
from cliptune.methods.linear_probe import LinearProbe
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.tuned_model import TunedModel
from tiny_tasks import QUICK, task, trained

NAMES = ("cat", "sled dog", "horse")


def built(text=(), vision=(), custom=True, **more) -> Backbone:
    """A small random model with these options of its towers."""
    config = copy.deepcopy(tiny_clips.SHAPES["deep_image"])
    config["text_cfg"] |= dict(text)
    config["vision_cfg"] |= dict(vision)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config, **more)
    model.visual.image_mean = model.visual.image_std = (0.5, 0.5, 0.5)
    return Backbone("odd", model, ClipTokenizer(77), linear_backend="torch")


def agrees(of: Backbone) -> None:
    """Assert that features equal those of the model with its tokenizer's padding."""
    images = tiny_clips.random_images(of)
    texts = [f"a photo of a {name}." for name in NAMES]
    image, text = (
        of.visual(images),
        (of.model.text if hasattr(of.model, "text") else of.model.encode_text)(of.tokenizer(texts)),
    )
    image, text = (x[0] if isinstance(x, tuple) else x for x in (image, text))
    torch.testing.assert_close(of.encode_image(images), image, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(of.encode_text(of.tokenize(texts)), text, rtol=1e-4, atol=1e-5)
    assert of.embed_dim == text.shape[1]


@pytest.mark.parametrize(
    "text, kind",
    [
        ({"pool_type": "last"}, PackedTextTower),
        ({"pool_type": "eos", "eos_id": 320}, PackedTextTower),
        ({"pool_type": "first", "no_causal_mask": True, "proj_bias": True}, PaddedTextTower),
        ({"proj_type": "none", "width": 48, "output_tokens": True}, PackedTextTower),
        ({"embed_cls": True, "output_tokens": True}, PaddedTextTower),
        ({"qk_norm": True}, FrozenTextTower),
        ({"norm_kwargs": {"eps": 1e-3}, "act_kwargs": {"approximate": "tanh"}}, PackedTextTower),
    ],
    ids=str,
)
@pytest.mark.parametrize("custom", [True, False], ids=["custom", "clip"])
def test_text_towers(text, kind, custom):
    if not custom and (text.get("embed_cls") or text.get("output_tokens")):
        pytest.skip("open_clip's CLIP class ignores them")
    of = built(text, custom=custom)
    assert type(of.text_tower) is kind
    agrees(of)


@pytest.mark.parametrize(
    "vision",
    [
        {"pool_type": "avg", "output_tokens": True},
        {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
        {"attentional_pool": True, "attn_pooler_queries": 4},
        {"qk_norm": True, "scale_fc": True},
        {"output_tokens": True, "ls_init_value": 0.1},
    ],
    ids=str,
)
def test_image_towers(vision):
    of = built(vision=vision)
    agrees(of)
    assert of.has_vit == ("ls_init_value" in vision)


@pytest.mark.parametrize(
    "vision, why",
    [
        ({"pool_type": "avg"}, r"VisionTransformer \(pooled by 'avg'\)"),
        ({"attentional_pool": True}, r"VisionTransformer \(pooled by 'attention'\)"),
        ({"qk_norm": True}, r"VisionTransformer \(custom blocks\)"),
    ],
)
def test_image_towers_without_support_for_tokens(vision, why):
    sentence = f"^backbone 'odd' has a {why} image tower; visual prompts and Grad-CAM need open_clip's ViT"
    with pytest.raises(UserError, match=sentence):
        _ = built(vision=vision).vit


def test_text_towers_without_support_for_tokens():
    of = built({"qk_norm": True})
    sentence = r"^the text tower of backbone 'odd' \(CustomResidualAttentionBlock\) accepts no learned tokens; use"
    for ask in (lambda: of.text_width, lambda: of.text_depth, lambda: of.embed_words("a", 1)):
        with pytest.raises(UserError, match=sentence):
            ask()
    with pytest.raises(UserError, match=sentence):
        TunedModel(of, CoOp(), NAMES)
    assert trained(LinearProbe(), of, QUICK)[1]


@pytest.mark.parametrize("tower", ["text", "image"])
def test_towers_that_pool_nothing(tower):
    of = built(**{{"text": "text", "image": "vision"}[tower]: {"pool_type": "none"}})
    with pytest.raises(UserError, match=f"^the {tower} tower of backbone 'odd' returns a vector per token"):
        TunedModel(of, ZeroShot(), NAMES).eval()({"image": tiny_clips.random_images(of)})


class Failing(torch.nn.Module):
    """A tower that fails on the images."""

    def forward(self, images):
        raise AssertionError("Input height (32) doesn't match model (224).\nMore of it")


def test_errors_of_open_clip_are_one_sentence():
    of = built()
    of.model.visual = Failing()
    sentence = (
        r"^open_clip cannot compute the image tower of backbone 'odd' on inputs of \(1, 3, 32, 32\): Input height"
    )
    with pytest.raises(UserError, match=sentence) as refusal:
        of.encode_image(torch.zeros(1, 3, 32, 32))
    assert "\n" not in str(refusal.value)


def test_features_of_different_widths_are_refused():
    of = built({"proj_type": "none"})
    with pytest.raises(UserError, match="has image features of width 48 and text features of width 64"):
        of.encode_image(tiny_clips.random_images(of))


@pytest.mark.parametrize("ids", [400, 320])
def test_tokens_outside_the_vocabulary_are_refused(ids):
    of = built({"vocab_size": ids})
    with pytest.raises(UserError, match=f"returned token 49407, but its text tower has {ids} tokens"):
        of.tokenize(["a cat"])


# -- models trained with a sigmoid ------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["scalar", "vector"])
def sigmoid(request) -> Backbone:
    """A model with a bias, stored as a number or as a vector of one."""
    scale = {"init_logit_scale": math.log(10), "init_logit_bias": -9.5, "nonscalar_logit_scale": request.param}
    return built(**scale)


def test_logits_have_scale_and_bias(sigmoid):
    images = tiny_clips.random_images(sigmoid)
    model = TunedModel(sigmoid, ZeroShot(), NAMES).eval()
    ids = sigmoid.tokenizer([f"a photo of a {name}." for name in NAMES])
    expected, _ = sigmoid.model.get_logits(images, ids)
    torch.testing.assert_close(model({"image": images}).logits, expected, rtol=0, atol=1e-5)
    assert sigmoid.logit_scale.shape == sigmoid.logit_bias.shape == () and expected.max() < 0
    assert tiny_clips.backbone("deep_image").logit_bias is None


def test_columns_that_a_wrapper_adds_have_the_bias_too(sigmoid):
    method = Dapt(CoOp(n_ctx=2), compat="release")
    model = TunedModel(sigmoid, method, NAMES).eval()
    out = model({"image": tiny_clips.random_images(sigmoid)})
    everything = torch.cat([out.text, out.extra_text[: out.logits.shape[1] - len(NAMES)]])
    expected = sigmoid.logit_scale * out.image["image"] @ everything.T + sigmoid.logit_bias
    torch.testing.assert_close(out.logits, expected, rtol=0, atol=1e-5)
    assert out.logits.shape[1] > len(NAMES)


def test_a_probe_initialised_from_text_equals_zero_shot(sigmoid):
    images = tiny_clips.random_images(sigmoid)
    probe = TunedModel(sigmoid, LinearProbe(start="text"), NAMES)
    probe.method.prepare(probe, task())
    zero = TunedModel(sigmoid, ZeroShot(), NAMES).eval()({"image": images}).logits
    torch.testing.assert_close(probe.eval()({"image": images}).logits, zero, rtol=0, atol=1e-5)


def test_coca_gives_unit_features():
    config = copy.deepcopy(tiny_clips.SHAPES["deep_image"])
    config["text_cfg"] |= {"embed_cls": True, "output_tokens": True, "context_length": 76}
    config["vision_cfg"] |= {"output_tokens": True}
    del config["quick_gelu"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = open_clip.CoCa(**config, multimodal_cfg={"width": 64, "heads": 2, "layers": 1})
    model.visual.image_mean = model.visual.image_std = (0.5, 0.5, 0.5)
    of = Backbone("coca", model, ClipTokenizer(76), linear_backend="torch")
    images, texts = tiny_clips.random_images(of), ["a cat", "a photo of a sled dog."]
    torch.testing.assert_close(of.encode_image(images), model.encode_image(images), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        of.encode_text(of.tokenize(texts)), model.encode_text(of.tokenizer(texts)), rtol=0, atol=1e-5
    )
    assert of.context_length == 76 and of.has_vit
    raw = model.encode_image(images, normalize=False)
    torch.testing.assert_close(of.encode_image(images), normalise(raw), rtol=0, atol=1e-5)
