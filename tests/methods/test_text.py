"""Zero-shot and CoOp: prompts, initial values, and unseen class names."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

import tiny_clips
from cliptune.backbones.features import normalise
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.methods.zeroshot import SEVEN_TEMPLATES, ZeroShot
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State

NAMES = ("cat", "steam_locomotive", "sled dog")


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def features(backbone, texts):
    return normalise(backbone.encode_text(backbone.tokenize(texts)))


def text_of(method, backbone, names=NAMES, templates=("a photo of a {}.",)):
    with torch.no_grad():
        return TunedModel(backbone, method, names, templates).eval().encode_classes()[0]


def test_zero_shot_uses_the_datasets_template(backbone):
    expected = features(backbone, ["{} texture.".format(n.replace("_", " ")) for n in NAMES])
    assert torch.allclose(text_of(ZeroShot(), backbone, templates=("{} texture.", "a {}.")), expected, atol=1e-5)


def test_zero_shot_uses_a_custom_template(backbone):
    expected = features(backbone, ["look, a cat!", "look, a steam locomotive!", "look, a sled dog!"])
    assert torch.allclose(text_of(ZeroShot(template="look, a {}!"), backbone), expected, atol=1e-5)


@pytest.mark.parametrize("own, count", [("a photo of a {}, a type of pet.", 8), (SEVEN_TEMPLATES[2], 7)])
def test_an_ensemble_is_the_normalised_mean_of_normalised_features(backbone, own, count):
    templates = list(dict.fromkeys([*SEVEN_TEMPLATES, own]))
    assert len(templates) == count
    rows = []
    for name in NAMES:
        each = features(backbone, [t.format(name.replace("_", " ")) for t in templates])
        rows.append(F.normalize(each.mean(0), dim=0))
    got = text_of(ZeroShot("seven"), backbone, templates=(own,))
    assert torch.allclose(got, torch.stack(rows), atol=1e-5)


def test_the_eighty_templates_are_those_of_clip():
    sentences = ZeroShot("eighty").class_prompts(tiny_clips.backbone("deep_image"), NAMES, ("x {}",))
    assert sentences.per_class == 80 and len(sentences) == 80 * len(NAMES)


def test_coop_initialised_from_words_equals_zero_shot(backbone):
    assert torch.allclose(
        text_of(CoOp(words="a photo of a"), backbone),
        text_of(ZeroShot(), backbone, templates=("a photo of a {}.",)),
        atol=1e-5,
    )


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("class_specific", [False, True])
def test_coops_shapes(backbone, position, class_specific):
    method = CoOp(n_ctx=5, position=position, class_specific=class_specific)
    tuned = TunedModel(backbone, method, NAMES)
    shape = (len(NAMES), 5, backbone.text_width) if class_specific else (5, backbone.text_width)
    assert [p.shape for p in tuned.learner.parameters()] == [shape]
    out = tuned({"image": tiny_clips.random_images(backbone, 2)}, State(0, 1))
    losses = method.losses(out, Batch(torch.empty(0), torch.tensor([0, 2])), State(0, 1))
    assert losses["ce"].item() == pytest.approx(F.cross_entropy(out.logits, torch.tensor([0, 2])).item())
    losses["ce"].backward()
    gradient = tuned.learner.text.grad
    assert gradient.abs().sum(-1).gt(0).all(), "every vector is used"


def test_a_class_specific_context_affects_its_class_only(backbone):
    tuned = TunedModel(backbone, CoOp(n_ctx=2, class_specific=True), NAMES).eval()
    with torch.no_grad():
        before = tuned.encode_classes()[0].clone()
        tuned.learner.text[1] += 0.5
        after = tuned.eval().encode_classes()[0]
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_a_class_specific_context_refuses_other_classes(backbone):
    tuned = TunedModel(backbone, CoOp(n_ctx=2, class_specific=True), NAMES)
    assert tuned.with_classes(NAMES).classnames == NAMES
    with pytest.raises(UserError, match="has trainable parameters per class"):
        tuned.with_classes(("cat", "dog"))


def test_words_determine_the_length_and_disable_class_specific_contexts(backbone):
    method = CoOp(n_ctx=16, words="an image of", class_specific=True)
    learner = method.learner(backbone, NAMES, Generator())
    assert method.length == 3 and learner.text.shape == (3, backbone.text_width)
    assert torch.equal(learner.text, backbone.embed_words("an image of", 3))


def test_words_of_several_tokens_are_reported(backbone):
    with pytest.warns(
        UserWarning, match="'a photograph showing carburettors' is 4 words but . tokens: the last stay fixed"
    ):
        CoOp(words="a photograph showing carburettors").learner(backbone, NAMES, Generator())


@pytest.mark.parametrize("n_ctx", [0, -3])
def test_zero_context_tokens_are_refused(n_ctx):
    with pytest.raises(UserError, match=f"n_ctx must be at least 1, got {n_ctx}"):
        CoOp(n_ctx=n_ctx)


@pytest.mark.parametrize("method", [CoOp(n_ctx=76), CoOp(n_ctx=60), ZeroShot(template="word " * 70 + "{}")])
def test_text_longer_than_the_context_length_is_refused(backbone, method):
    with pytest.raises(
        UserError, match=r"has \d+ tokens, but 'deep_image' accepts 77; shorten the class name or n_ctx"
    ):
        TunedModel(backbone, method, ("cat", "a " + "very " * 20 + "long name"))
