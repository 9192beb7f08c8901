"""TaskRes: a residual per trained class; other names keep CLIP's features."""

import pytest
import torch
import torch.nn.functional as F

import textbook
import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt
from cliptune.methods.taskres import TaskRes
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_clips import NAMES, normal, random_images, same_gradients

LABELS = torch.tensor([0, 3, 1])
TEMPLATES = ("a drawing of a {}.", "look, {}!")


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_text")


def built(backbone, templates=TEMPLATES, method=None):
    model = TunedModel(backbone, method or TaskRes(alpha=0.3), NAMES, templates)
    with torch.no_grad():
        model.learner.residual.copy_(normal(*model.learner.residual.shape))
    return model


def features(backbone, names, templates=TEMPLATES):
    """Un-normalised features `(n, d)`, the mean over the templates."""
    found = []
    for template in templates:
        sentences = [template.format(name.replace("_", " ")) for name in names]
        ids = textbook.tokens(backbone.prompt_tokenizer, sentences)
        found.append(textbook.text_features(backbone.model, ids))
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("templates", [TEMPLATES, TEMPLATES[:1]])
def test_loss_and_gradient_equal_the_reference(backbone, templates):
    model, images = built(backbone, templates), random_images(backbone)
    out = model({"image": images}, State(0, 1))
    losses = model.method.losses(out, Batch(images, LABELS), State(0, 1))
    text = textbook.unit(features(backbone, NAMES, templates) + 0.3 * model.learner.residual)
    logits = 100 * textbook.unit(textbook.image_features(backbone.model, images)) @ text.T
    torch.testing.assert_close(out.logits, logits, rtol=1e-4, atol=1e-3)
    same_gradients(losses["ce"], F.cross_entropy(logits, LABELS), [model.learner.residual])


def test_training_starts_from_zero_shot(backbone):
    model = TunedModel(backbone, TaskRes(), NAMES, TEMPLATES).eval()
    with torch.no_grad():
        text = model({"image": random_images(backbone)}).text
    torch.testing.assert_close(text, textbook.unit(features(backbone, NAMES)), rtol=1e-4, atol=1e-5)


def test_trained_names_keep_their_residual_and_others_keep_clips_feature(backbone):
    model = built(backbone).eval()
    names = ("dog", NAMES[2], "steam_engine", NAMES[0])
    with torch.no_grad():
        text = model.with_classes(names)({"image": random_images(backbone)}).text
        expected = features(backbone, names)
        expected[1] += 0.3 * model.learner.residual[2]
        expected[3] += 0.3 * model.learner.residual[0]
    torch.testing.assert_close(text, textbook.unit(expected), rtol=1e-4, atol=1e-5)


def test_extra_prompts_of_a_wrapper_have_no_residual(backbone):
    model = built(backbone, method=Dapt(base=TaskRes(alpha=0.3)))
    out = model({"image": random_images(backbone)}, State(0, 10))
    plain = TunedModel(backbone, Dapt(base=TaskRes()), NAMES, TEMPLATES)(
        {"image": random_images(backbone)}, State(0, 10)
    )
    torch.testing.assert_close(out.extra_text, plain.extra_text)
    assert not torch.allclose(out.text, plain.text)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_meaningless_values_are_refused(alpha):
    with pytest.raises(UserError, match="alpha must be"):
        TaskRes(alpha=alpha)
