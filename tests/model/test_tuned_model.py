"""Logits, losses and gradients of tuned models equal the reference; graphs exist only where a loss needs them."""

import pytest
import torch

import textbook
from cliptune.backbones.image_tower import ImageTower
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import FOOD_BACKGROUNDS, GENERAL_BACKGROUNDS, RELEASE_COMPETING_WORDS, Dapt
from cliptune.methods.maple import Maple
from cliptune.model.tuned_model import TunedModel
from cliptune.saliency import gradcam
from cliptune.types import Batch, State
from tiny_clips import NAMES, VITS, backbone, normal, random_images, same_gradients

LABELS = torch.tensor([0, 3, 1])
FIRST, SECOND = State(0, 10), State(7, 10)
CLEAN = [name.replace("_", " ") for name in NAMES]
BACKGROUNDS = [f"a clean origami {word}." for word in (GENERAL_BACKGROUNDS + " " + FOOD_BACKGROUNDS).split()]


def tuned(shape: str, method, backend="onednn") -> TunedModel:
    model = TunedModel(backbone(shape, backend), method, NAMES)
    with torch.no_grad():
        for i, parameter in enumerate(model.learner.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=i, std=0.3))
    return model


def batch_for(model: TunedModel) -> Batch:
    images = random_images(model.backbone, len(LABELS))
    masks = (normal(len(LABELS), 1, 4, 4, seed=9) > 0).float()
    return Batch(images, LABELS, torch.nn.functional.interpolate(masks, images.shape[-2:]))


def step(model: TunedModel, batch: Batch, state: State):
    out = model(model.method.views(batch), state)
    losses = model.method.losses(out, batch, state)
    return torch.stack(list(losses.values())).sum(), out


def compare(model: TunedModel, loss, logits, reference):
    torch.testing.assert_close(logits, reference[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(loss, reference[0], rtol=1e-4, atol=1e-5)
    same_gradients(loss, reference[0], list(model.learner.parameters()))


@pytest.mark.parametrize("shape", [*VITS, "resnet"])
@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("per_class", [False, True], ids=["shared", "per_class"])
def test_coop(shape, position, per_class):
    model = tuned(shape, CoOp(n_ctx=5, position=position, class_specific=per_class))
    batch, of = batch_for(model), model.backbone
    ids, lengths = textbook.prompted(of.prompt_tokenizer, "X X X X X", CLEAN)
    loss, out = step(model, batch, FIRST)
    context = model.learner.text
    compare(
        model, loss, out.logits, textbook.coop_step(of.model, ids, context, batch.images, LABELS, position, lengths)
    )
    assert out.text.requires_grad and not out.image["image"].requires_grad


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("backend", ["onednn", "torch"])
def test_maple(shape, depth, backend):
    of = backbone(shape, backend)
    depth = min(depth, max(of.text_depth, of.image_depth))
    model = tuned(shape, Maple(depth=depth), backend)
    batch, learner = batch_for(model), model.learner
    ids, _ = textbook.prompted(of.prompt_tokenizer, "a photo of a", CLEAN)
    loss, out = step(model, batch, FIRST)
    reference = textbook.maple_step(of.model, ids, list(learner.text), list(learner.to_image), batch.images, LABELS)
    compare(model, loss, out.logits, reference)


@pytest.mark.parametrize("shape", VITS)
@pytest.mark.parametrize("state", [FIRST, SECOND], ids=["pull_push", "alignment"])
def test_dapt(shape, state):
    model = tuned(shape, Dapt(base=Maple(depth=2), compat="release"))
    batch, of, learner = batch_for(model), model.backbone, model.learner
    ids, _ = textbook.prompted(of.prompt_tokenizer, "a photo of a", CLEAN)
    loss, out = step(model, batch, state)
    reference = textbook.dapt_step(
        of.model, ids, textbook.tokens(of.prompt_tokenizer, BACKGROUNDS), list(learner.text), list(learner.to_image),
        batch.images, LABELS, batch.masks, decoupling=state is FIRST, stray=RELEASE_COMPETING_WORDS,
    )  # fmt: skip
    compare(model, loss, out.logits, reference)
    assert out.image["image"].requires_grad and not out.image["foreground"].requires_grad
    assert out.image["background"].requires_grad is (state is SECOND)


@pytest.mark.parametrize("shape", VITS)
def test_gradcam(shape):
    model = tuned(shape, Dapt(base=Maple(depth=2), compat="release")).eval()
    batch, of, learner = batch_for(model), model.backbone, model.learner
    ids, _ = textbook.prompted(of.prompt_tokenizer, "a photo of a", CLEAN)
    expected = textbook.gradcam(
        of.model,
        ids,
        textbook.tokens(of.prompt_tokenizer, BACKGROUNDS),
        list(learner.text),
        list(learner.to_image),
        batch.images,
        LABELS,
    )
    cam = gradcam.gradcam(model, batch.images, LABELS)
    got = gradcam.resize_and_normalize(cam, batch.images.shape[-2:], batch_maximum=True)
    assert expected.max() > 0.5
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def counted(monkeypatch, tower, name="__call__") -> list[int]:
    calls, original = [], getattr(tower, name)
    monkeypatch.setattr(
        tower, name, lambda self, first, *rest, **more: calls.append(len(first)) or original(self, first, *rest, **more)
    )
    return calls


def test_text_is_computed_once_per_evaluation(monkeypatch):
    model = tuned("deep_image", Maple(depth=2)).eval()
    text, image, pixels = (
        counted(monkeypatch, PackedTextTower),
        counted(monkeypatch, ImageTower, "encode"),
        random_images(model.backbone, 4),
    )
    with torch.no_grad():
        first = [model({"image": pixels[i : i + 1]}).logits for i in range(4)]
        assert text == [len(NAMES)] and image == [1, 1, 1, 1]
        together = model({"image": pixels}).logits
        assert text == [len(NAMES)]
    torch.testing.assert_close(torch.cat(first), together, rtol=0, atol=1e-4)
    with torch.no_grad():  # training changed the learner: the next evaluation computes text again
        model.train()
        model.learner.text[0].add_(0.5)
        moved = model.eval()({"image": pixels}).logits
    assert len(text) == 2 and (moved - together).abs().max() > 1e-2


@torch.no_grad()
def test_a_moved_model_computes_text_again(monkeypatch):
    model = tuned("deep_image", CoOp(n_ctx=2)).eval()
    text, pixels = counted(monkeypatch, PackedTextTower), random_images(model.backbone, 1)
    before = model({"image": pixels}).logits
    assert torch.equal(model.to("cpu")({"image": pixels}).logits, before)
    assert len(text) == 2, "class features would stay on the device that the model left"


def test_training_never_uses_cached_text(monkeypatch):
    model = tuned("deep_image", CoOp(n_ctx=2)).train()
    text = counted(monkeypatch, PackedTextTower)
    for _ in range(2):
        step(model, batch_for(model), FIRST)
    assert len(text) == 2


def test_all_views_pass_the_tower_together(monkeypatch):
    model = tuned("deep_image", Dapt(base=Maple(depth=2)))
    image = counted(monkeypatch, ImageTower, "encode")
    step(model, batch_for(model), FIRST)
    assert image == [3, 6]  # with a graph; without
    step(model, batch_for(model), SECOND)
    assert image[2:] == [6, 3]


def test_cached_features_skip_the_tower(monkeypatch):
    model = tuned("deep_text", CoOp(n_ctx=4))
    batch = batch_for(model)
    whole, _ = step(model, batch, FIRST)
    features = model.encode_views({"image": batch.images})["image"]
    image = counted(monkeypatch, ImageTower, "encode")
    cached, _ = step(model, Batch(features, LABELS), FIRST)
    assert not image
    torch.testing.assert_close(cached, whole, rtol=0, atol=1e-6)


def test_other_classes():
    model, others = tuned("deep_text", Maple(depth=2)), ("sea_lion", "x", "Boeing 707-320")
    names, images = [name.replace("_", " ") for name in others], random_images(model.backbone)
    ids, _ = textbook.prompted(model.backbone.prompt_tokenizer, "a photo of a", names)
    learner = model.learner
    with torch.no_grad():
        expected = textbook.maple_step(
            model.backbone.model, ids, list(learner.text), list(learner.to_image), images, LABELS.clamp(max=2)
        )[1]
        torch.testing.assert_close(model.with_classes(others)({"image": images}).logits, expected, rtol=0, atol=1e-4)
    with pytest.raises(UserError, match="CoOp"):
        tuned("deep_text", CoOp(n_ctx=2, class_specific=True)).with_classes(others)
