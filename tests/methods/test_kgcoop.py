"""KgCoOp: CoOp with a distance loss to the teacher's text features, alone and wrapped."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

import textbook
import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt
from cliptune.methods.kgcoop import KgCoOp
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_clips import NAMES, normal, random_images, same_gradients

CLEAN = [name.replace("_", " ") for name in NAMES]
LABELS = torch.tensor([0, 3, 1])


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_text")


def losses_of(method, backbone, templates=("a drawing of a {}.",), wrapped=False):
    model = TunedModel(backbone, Dapt(base=method, compat="release") if wrapped else method, NAMES, templates)
    with torch.no_grad():
        model.learner.text.copy_(normal(*model.learner.text.shape, std=0.3))
    images = random_images(backbone)
    batch = Batch(images, LABELS, torch.ones(3, 1, *images.shape[-2:]))
    state = State(0, 1, model.method.prepare(model, None))
    return model, model.method.losses(model(model.method.views(batch), state), batch, state)


def expected_distance(backbone, context, template):
    ids, _ = textbook.prompted(backbone.prompt_tokenizer, "a photo of a", CLEAN)
    text = textbook.text_features(backbone.model, ids, context)
    sentences = textbook.tokens(backbone.prompt_tokenizer, [template.format(name) for name in CLEAN])
    return 1 - F.cosine_similarity(text, textbook.text_features(backbone.model, sentences), -1).mean()


def test_the_distance_loss_equals_the_reference(backbone):
    model, losses = losses_of(KgCoOp(weight=2.5), backbone)
    expected = 2.5 * expected_distance(backbone, model.learner.text, "a drawing of a {}.")
    assert set(losses) == {"ce", "knowledge"}
    torch.testing.assert_close(losses["knowledge"], expected, rtol=1e-4, atol=1e-5)
    same_gradients(losses["knowledge"], expected, [model.learner.text])


def test_a_custom_template_for_the_teacher(backbone):
    model, losses = losses_of(KgCoOp(weight=1, template="look, a {}!"), backbone)
    expected = expected_distance(backbone, model.learner.text, "look, a {}!")
    torch.testing.assert_close(losses["knowledge"], expected, rtol=1e-4, atol=1e-5)


def test_competing_prompts_of_a_wrapper_do_not_change_the_distance_loss(backbone):
    _, alone = losses_of(KgCoOp(), backbone)
    _, around = losses_of(KgCoOp(), backbone, wrapped=True)
    torch.testing.assert_close(around["knowledge"], alone["knowledge"])
    assert around["ce"] > alone["ce"], "seven more columns"


def test_the_distance_is_zero_for_equal_words_and_template(backbone):
    method = KgCoOp()
    model = TunedModel(backbone, method, NAMES, ("a photo of a {}.",))
    out = model({"image": random_images(backbone)}, State(0, 1))
    teacher = method.prepare(model, None)
    assert not teacher.requires_grad
    assert method.losses(out, Batch(out.logits, LABELS), State(0, 1, teacher))["knowledge"].abs() < 1e-4


def test_words_are_used_except_as_released(backbone):
    def start(**options):
        return KgCoOp(**options).learner(backbone, NAMES, Generator().manual_seed(0)).text

    assert torch.equal(start(words="one picture showing"), backbone.embed_words("one picture showing", 3))
    released = KgCoOp(words="one picture showing", compat="release")
    assert torch.equal(start(words="one picture showing", compat="release"), backbone.embed_words("a photo of a", 4))
    ids = backbone.prompt_tokenizer("a photo of a cat.")
    assert released.class_prompts(backbone, NAMES, ()).ids[0, : len(ids)].tolist() == ids
    assert start(words="", n_ctx=7, compat="release").shape == (7, backbone.text_width)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"weight": -1.0}, "weight must be at least 0, got -1.0"),
        ({"n_ctx": 0}, "n_ctx must be at least 1, got 0"),
        ({"template": "a photo"}, "template 'a photo' needs exactly one {} where the class name goes"),
    ],
)
def test_meaningless_values_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        KgCoOp(**options)
