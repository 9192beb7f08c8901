"""PromptKD: equal to the reference, running statistics, class names with and without the teacher, bad values."""

import pytest
import torch
import torch.nn.functional as F

import textbook
import tiny_clips
from cliptune import model_io
from cliptune.config import RunConfig
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt
from cliptune.methods.promptkd import PromptKd
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.teacher import TeacherModel
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State

NAMES = ("cat", "steam_locomotive", "sled dog")
TEMPLATES = ("a photo of a {}.",)
METHOD = PromptKd("recorded", n_ctx=3, depth=2, kd_weight=200.0, temperature=2.0)


@pytest.fixture(scope="module")
def student():
    return tiny_clips.backbone("deep_image")


@pytest.fixture(scope="module")
def teacher(student):
    return TeacherModel(TunedModel(tiny_clips.backbone("deep_text"), ZeroShot(), NAMES), student)


def built(student, teacher, method=METHOD):
    return TunedModel(student, method, NAMES, TEMPLATES, teacher=lambda: teacher)


def batch_of(student, masked=False):
    images = tiny_clips.random_images(student, 4)
    return Batch(images, torch.full((4,), -1), (images[:, :1] > 0).float() if masked else None)


def projected(learner, features, training):
    """The projector written out."""
    projector = learner.projector
    hidden = features @ projector.inner.weight.T + projector.inner.bias
    if training:
        mean, variance = hidden.mean(0), hidden.var(0, unbiased=False)
    else:
        mean, variance = projector.norm.running_mean, projector.norm.running_var
    scaled = (hidden - mean) / (variance + 1e-5).sqrt() * projector.norm.weight + projector.norm.bias
    return scaled.clamp_min(0) @ projector.outer.weight.T + projector.outer.bias


def test_a_step_equals_the_reference(student, teacher):
    tuned, batch = built(student, teacher).train(), batch_of(student)
    state = State(0, 1, METHOD.prepare(tuned, None))
    out = tuned(METHOD.views(batch), state)
    (loss,) = METHOD.losses(out, batch, state).values()
    features = textbook.image_features(student.model, batch.images, list(tuned.learner.image))
    own = textbook.unit(projected(tuned.learner, features, training=True))
    text = teacher.text(NAMES, TEMPLATES)
    logits = student.logit_scale * own @ text.T
    torch.testing.assert_close(out.logits, logits, rtol=0, atol=1e-3)
    p, q = (x.div(2).softmax(-1) for x in (teacher.logits(batch.images, NAMES, TEMPLATES), logits))
    plain = 200 * 4 * (p * (p.log() - q.log())).sum() / p.numel()
    torch.testing.assert_close(loss, plain, rtol=1e-4, atol=1e-5)
    leaves = [p for n, p in tuned.learner.named_parameters() if n != "projector.inner.bias"]  # its gradient is zero
    tiny_clips.same_gradients(loss, plain, leaves)


@pytest.mark.parametrize("wrapped", [False, True])
def test_running_statistics_are_updated_once_per_step(student, teacher, wrapped):
    method = Dapt(METHOD) if wrapped else METHOD
    tuned, batch = built(student, teacher, method).train(), batch_of(student, masked=True)
    norm = tuned.learner.projector.norm
    with torch.no_grad():
        tuned(method.views(batch), State(0, 10))
    features = textbook.image_features(student.model, batch.images, list(tuned.learner.image))
    hidden = features @ tuned.learner.projector.inner.weight.T + tuned.learner.projector.inner.bias
    assert norm.num_batches_tracked == 1 and norm.training
    torch.testing.assert_close(norm.running_mean, 0.1 * hidden.mean(0), rtol=0, atol=1e-4)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * hidden.var(0), rtol=0, atol=1e-4)


@torch.no_grad()
def test_evaluation_uses_the_running_statistics(student, teacher):
    tuned, images = built(student, teacher).eval(), tiny_clips.random_images(student)
    features = textbook.image_features(student.model, images, list(tuned.learner.image))
    own = textbook.unit(projected(tuned.learner, features, training=False))
    torch.testing.assert_close(tuned({"image": images}).image["image"], own, rtol=0, atol=1e-5)


@torch.no_grad()
def test_trained_names_need_no_teacher(student, teacher, tmp_path):
    tuned = built(student, teacher).eval()
    model_io.save_model(tmp_path / "checkpoint.safetensors", RunConfig(METHOD), tuned)
    loaded, _ = model_io.load_model(tmp_path, student)
    images = {"image": tiny_clips.random_images(student)}
    assert torch.equal(loaded(images).logits, tuned(images).logits)
    for names in (NAMES[:2], NAMES[::-1]):
        assert torch.equal(loaded.with_classes(names)(images).text, teacher.text(names, TEMPLATES))
    with pytest.raises(UserError, match="no teacher at 'recorded', which the model needs"):
        loaded.with_classes(("cat", "wolf"))(images)
    with pytest.raises(UserError, match="no teacher at 'recorded'"):  # whose features depend on the template
        loaded.with_classes(NAMES, ("{} texture.",))(images)


@torch.no_grad()
def test_another_teacher_is_refused(student, teacher):
    tuned, images = built(student, teacher).eval(), {"image": tiny_clips.random_images(student)}
    assert torch.equal(tuned.with_classes(("wolf", "cat"))(images).text, teacher.text(("wolf", "cat"), TEMPLATES))
    other = TeacherModel(TunedModel(student, ZeroShot(), NAMES), student)
    swapped = TunedModel(student, METHOD, NAMES, TEMPLATES, learner=tuned.learner, teacher=lambda: other).eval()
    with pytest.raises(UserError, match="'recorded' is not the one that this model was trained with"):
        swapped.with_classes(("wolf", "cat"))(images)


def test_foregrounds_train_the_image_side(student, teacher):
    method = Dapt(METHOD, foreground=1.0, background=1.0)
    tuned, batch = built(student, teacher, method).train(), batch_of(student, masked=True)
    second = State(9, 10, method.prepare(tuned, None))
    losses = method.losses(out := tuned(method.views(batch), second), batch, second)
    target = teacher.logits(batch.images, NAMES, TEMPLATES)
    p, q = (x.div(2).softmax(-1) for x in (target, student.logit_scale * out.image["foreground"] @ out.text.T))
    torch.testing.assert_close(
        losses["foreground"], 800 * (p * (p.log() - q.log())).sum() / p.numel(), rtol=1e-4, atol=1e-5
    )
    assert torch.autograd.grad(losses["foreground"], tuned.learner.image[0])[0].abs().max() > 0
    assert torch.equal(out.extra_text, teacher.phrases(method.extra_prompts(second)))
    cosines = out.image["background"] @ out.extra_text.T
    plain = F.cross_entropy(student.logit_scale * cosines, cosines.argmax(-1))
    torch.testing.assert_close(losses["background"], plain)


def test_a_single_image_is_too_few_for_batch_norm(student, teacher):
    with pytest.raises(UserError, match="at least 2 images per batch"):
        built(student, teacher).train()({"image": tiny_clips.random_images(student, 1)}, State(0, 1))


@pytest.mark.parametrize(
    "options", [{"n_ctx": 0}, {"depth": 0}, {"kd_weight": -1.0}, {"temperature": 0.0}, {"teacher": ""}]
)
def test_bad_values_are_refused(options):
    with pytest.raises(UserError, match=next(iter(options))):
        PromptKd(**options)


def test_the_learner_needs_the_teachers_width(student):
    with pytest.raises(UserError, match="class features of its teacher"):
        METHOD.learner(student, NAMES, torch.Generator())
