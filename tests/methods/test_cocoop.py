"""CoCoOp: equal to the reference with one prompt per image and class, in bounded memory, with cached features too."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Generator
from torch.autograd.graph import saved_tensors_hooks

import textbook
import tiny_clips
from cliptune import config, methods
from cliptune.backbones.packed_text_tower import PackedTextTower
from cliptune.engine.evaluate import predict_logits
from cliptune.engine.fit import fit, training_set
from cliptune.errors import UserError
from cliptune.methods.cocoop import CoCoOp
from cliptune.model.tuned_model import TunedModel
from cliptune.saliency import gradcam
from cliptune.tuned import Tuned
from cliptune.types import Batch, State
from tiny_clips import NAMES, normal, random_images, same_gradients
from tiny_tasks import QUICK, fabric, model, task, trained

CLEAN = [name.replace("_", " ") for name in NAMES]


def tuned(shape="deep_image", names=NAMES, **options) -> TunedModel:
    """A model whose images shift its context strongly."""
    found = TunedModel(tiny_clips.backbone(shape), CoCoOp(**options), names)
    with torch.no_grad():
        for i, parameter in enumerate(found.learner.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=i, std=0.3))
        found.learner.inner.bias.fill_(0.3)  # so that the hidden layer is active for every image
    return found


def fitting(monkeypatch, found: TunedModel, share: float) -> None:
    """Let a chunk of the text tower contain all sentences of `share` images."""
    sentences = found.class_text.text
    tokens = sentences.packed_tokens(sentences.shared_prefix(True))
    monkeypatch.setattr(found.backbone.text_tower, "chunk", int(share * tokens))


def labels(n: int):
    return torch.arange(n) % len(NAMES)


@pytest.mark.parametrize("shape", [*tiny_clips.VITS, "resnet"])
@pytest.mark.parametrize("fit", [4, 1, 0.5], ids=["together", "one by one", "cut between classes"])
def test_values_and_gradients_equal_the_reference(shape, fit, monkeypatch):
    found = tuned(shape)
    fitting(monkeypatch, found, fit)
    of, learner, images = found.backbone, found.learner, random_images(found.backbone, 4)
    out = found({"image": images}, State(0, 1))
    loss = found.method.losses(out, Batch(images, labels(4)), State(0, 1))["ce"]
    ids, _ = textbook.prompted(of.prompt_tokenizer, "a photo of a", CLEAN)

    def shift(image):
        return F.linear(F.linear(image, learner.inner.weight, learner.inner.bias).relu(), *learner.outer.parameters())

    wanted, expected = textbook.cocoop_step(of.model, ids, learner.text, shift, images, labels(4))
    assert out.text.shape == (4, len(NAMES), of.embed_dim)
    torch.testing.assert_close(out.logits, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-5)
    same_gradients(loss, wanted, list(learner.parameters()))


def saved_bytes(found: TunedModel, images: int) -> tuple[int, list]:
    """Bytes that a forward pass saves for the backward pass, without weights, and the gradients."""
    weights = {p.untyped_storage().data_ptr() for p in found.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    features = normal(images, found.backbone.embed_dim)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        out = found({"image": features}, State(0, 1))
    loss = F.cross_entropy(out.logits, labels(images))
    return sum(saved.values()), list(torch.autograd.grad(loss, list(found.learner.parameters())))


def test_a_batch_that_does_not_fit_saves_features_only(monkeypatch):
    found = tuned()
    fitting(monkeypatch, found, 100)
    (one, _), (many, expected) = saved_bytes(found, 1), saved_bytes(found, 24)
    fitting(monkeypatch, found, 1)
    monkeypatch.setattr(found.backbone.text_tower, "budget", 0)
    small_batch, large_batch = saved_bytes(found, 2)[0], saved_bytes(found, 24)[0]
    assert many > 12 * one, "a batch that fits saves its activations"
    assert large_batch < 2 * one, "23 recomputed images save less than the one that is not recomputed"
    # The saved bytes grow by a context and the class features per image.
    features = 4 * found.backbone.embed_dim * len(NAMES)
    contexts = 4 * found.backbone.text_width * 4
    assert large_batch - small_batch <= 22 * 4 * (features + contexts)
    for got, gradient in zip(saved_bytes(found, 24)[1], expected, strict=True):
        torch.testing.assert_close(got, gradient, rtol=1e-4, atol=1e-5 * gradient.abs().max().item())


def test_a_batch_at_test_time_is_divided_and_has_no_graph(monkeypatch):
    found = tuned().eval()
    features, calls, original = normal(10, found.backbone.embed_dim), [], PackedTextTower._features
    with torch.no_grad():
        whole = found({"image": features}).logits
        fitting(monkeypatch, found, 4)
        monkeypatch.setattr(PackedTextTower, "_features", lambda *a: calls.append(a[-1]) or original(*a))
        pieces = found({"image": features}).logits
    assert calls == [4, 4, 2] and not pieces.requires_grad
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-4)
    alone = torch.cat([found({"image": one[None]}).logits for one in features])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-4)


def test_cached_features_give_the_same_logits_as_images(monkeypatch):
    toy, found = task(), tuned(names=task().classnames)
    first = predict_logits(found, toy.dataset, toy.tests["test"])
    monkeypatch.setattr(found.backbone, "encode_image", None)  # no longer needed
    assert torch.equal(predict_logits(found, toy.dataset, toy.tests["test"], batch_size=3), first)


def test_cached_views_train_as_images_do():
    backbone, toy = tiny_clips.backbone("deep_image"), task()
    one, rows = trained(CoCoOp(), backbone, QUICK, toy)
    other, cached = trained(CoCoOp(), backbone, replace(QUICK, cached_views=1), toy)
    for p, q in zip(one.learner.parameters(), other.learner.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-5)
    assert cached[-1]["ce"] == pytest.approx(rows[-1]["ce"], rel=1e-3)


def test_there_are_no_image_independent_class_features():
    found = Tuned(tuned(), config.RunConfig(CoCoOp()))
    with pytest.raises(UserError, match="depend on the image, so there are no text features without one"):
        found.text_features()


def test_other_class_names():
    found, others = tuned(), ("sea_lion", "x", "Boeing 707-320")
    features = normal(3, found.backbone.embed_dim)
    fresh = tuned(names=others)
    fresh.learner.load_state_dict(found.learner.state_dict())
    assert torch.equal(found.with_classes(others)({"image": features}).logits, fresh({"image": features}).logits)


@pytest.mark.parametrize("name", ["cocoop+dapt", "cocoop+copypaste"])
def test_every_view_uses_the_prompts_of_the_whole_image(name):
    toy, method = task(), methods.build(name)
    found = model(method, tiny_clips.backbone("deep_image"), toy)
    examples, masks = training_set(found, toy, QUICK)
    (batch,) = examples.epoch_batches(0, len(toy.train), torch.device("cpu"), masks=masks)
    state, view = State(9, 10), "foreground" if "dapt" in name else "pasted"
    out = found(method.views(batch), state)
    alone = found({"image": batch.images}, state).text
    torch.testing.assert_close(out.text, alone, rtol=0, atol=1e-5)
    loss = method.losses(out, batch, state)[view]
    cosines = torch.einsum("bcd,bd->bc", alone, out.image[view])
    weight = method.foreground if "dapt" in name else method.pasted
    expected = weight * F.cross_entropy(out.logit_scale * cosines, batch.labels)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    same_gradients(loss, expected, list(found.learner.parameters()))


def test_masks_are_those_of_the_current_model():
    found = tuned()
    images = random_images(found.backbone, 3)
    cam = gradcam.gradcam(found, images, labels(3))
    assert cam.shape == (3, 1, 4, 4) and cam.max() > 0
    pairs = zip(images, labels(3), strict=True)
    alone = torch.cat([gradcam.gradcam(found, image[None], label[None]) for image, label in pairs])
    torch.testing.assert_close(cam / cam.amax(), alone / alone.amax(), rtol=0, atol=1e-4)


def test_it_starts_from_words_or_at_random():
    backbone = tiny_clips.backbone("deep_image")
    start = CoCoOp(words="an image of").learner(backbone, NAMES, Generator().manual_seed(0))
    assert torch.equal(start.text, backbone.embed_words("an image of", 3))
    random = CoCoOp(n_ctx=7, words="").learner(backbone, NAMES, Generator().manual_seed(0))
    assert random.text.shape == (7, backbone.text_width) and random.text.std().item() == pytest.approx(0.02, rel=0.2)
    assert random.inner.in_features == backbone.embed_dim == 48 and random.inner.out_features == 3


def test_zero_context_tokens_are_refused():
    with pytest.raises(UserError, match="n_ctx must be at least 1, got 0"):
        CoCoOp(n_ctx=0)


def test_the_batch_size_is_one_by_default():
    toy = task(classes=2, shots=4)
    found = model(CoCoOp(), tiny_clips.backbone("deep_image"), toy)
    history = fit(found, toy, replace(QUICK, batch_size=1, epochs=4), fabric=fabric())
    assert history[-1]["ce"] < history[0]["ce"]
