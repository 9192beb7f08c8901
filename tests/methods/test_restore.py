"""RESTORE against its equations in plain PyTorch: adapters, both kinds of shift, ratio updates, resuming."""

import pytest
import torch
import torch.nn.functional as F

import textbook
import tiny_clips
from cliptune.engine.fit import fit
from cliptune.errors import UserError
from cliptune.methods.dapt import Dapt
from cliptune.methods.maple import Maple
from cliptune.methods.restore import Restore
from cliptune.saliency.gradcam import activation_and_gradient
from cliptune.types import Batch, State
from restore_by_hand import adapted, by_hand
from tiny_clips import same_gradients
from tiny_tasks import QUICK, fabric, learned, model, same, task, trained

LABELS = torch.tensor([0, 2, 1])
KINDS = ("features", "norms")


def made(shape="deep_image", **fields):
    """A model whose towers have shifted since `prepare`, its batch, and its state."""
    of = tiny_clips.backbone(shape)
    method = Restore(**{"depth": 2, "text_ratio": 0.3, "image_ratio": 0.2, **fields})
    tuned = model(method, of, task()).train()
    memory = method.prepare(tuned, task())
    with torch.no_grad():
        for i, parameter in enumerate(tuned.learner.parameters()):
            parameter.add_(tiny_clips.normal(*parameter.shape, seed=i, std=0.1))
    images = tiny_clips.random_images(of, len(LABELS))
    return tuned, Batch(images, LABELS, (images[:, :1] > 0).float()), State(0, 9, memory)


@pytest.mark.parametrize("shape", tiny_clips.VITS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_step_equals_the_equations(shape, kind, depth):
    tuned, batch, state = made(shape, shift=kind, depth=depth, shift_weight=0.7)
    learner, of = tuned.learner, tuned.backbone
    out = tuned(tuned.method.views(batch), state)
    losses = tuned.method.losses(out, batch, state)
    logits, prompted, plain = by_hand(tuned, batch.images)
    torch.testing.assert_close(out.logits, logits, rtol=0, atol=2e-4)
    reference = F.cross_entropy(logits, LABELS)
    start = model(tuned.method, of, task()).learner
    for j in range(min(depth, of.text_depth, of.image_depth)):
        if kind == "features":
            text, image = (
                ((prompted[tower][j] - plain[tower][j]).norm(dim=-1) / plain[tower][j].norm(dim=-1)).mean()
                for tower in ("text", "image")
            )
            reference = reference + 0.7 * (text - image) ** 2
        elif j > 0:
            now, then = ((one.text[j], one.to_image[j](one.text[j])) for one in (learner.prompts, start.prompts))
            text, image = ((a.T @ a).norm() / (b.T @ b).norm().detach() for a, b in zip(now, then, strict=True))
            reference = reference + 0.7 * (text - image) ** 2
    assert ("shift" in losses) == (kind == "features" or depth > 1)
    total = sum(losses.values())
    torch.testing.assert_close(total, reference, rtol=1e-4, atol=1e-4)
    used = [p for name, p in learner.named_parameters()]
    same_gradients(total, reference, used)


def test_shift_norms_start_without_loss_and_gradient():
    of = tiny_clips.backbone("deep_image")
    method = Restore(depth=3, shift="norms")
    tuned = model(method, of, task()).train()
    state = State(0, 9, method.prepare(tuned, task()))
    batch = Batch(tiny_clips.random_images(of, 3), LABELS)
    loss = method.losses(tuned(method.views(batch), state), batch, state)["shift"]
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or not p.grad.any() for p in tuned.learner.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_zero_weight_computes_no_shift(kind):
    tuned, batch, state = made(shift=kind, shift_weight=0.0)
    out = tuned(tuned.method.views(batch), state)
    assert set(tuned.method.losses(out, batch, state)) == {"ce"} and out.block_features is None


def test_without_words_features_shift_from_the_class_names():
    tuned, batch, state = made(words="")
    (shift,) = (
        v for k, v in tuned.method.losses(tuned({"image": batch.images}, state), batch, state).items() if k != "ce"
    )
    assert shift.isfinite() and shift > 0
    bare = textbook.tokens(tuned.backbone.prompt_tokenizer, [f"{n.replace('_', ' ')}." for n in tuned.classnames])
    features = textbook.text_features(tuned.backbone.model, bare)
    got = tuned.backbone.text.ln_final(state.memory.text[-1]) @ tuned.backbone.text.text_projection
    torch.testing.assert_close(textbook.unit(got), textbook.unit(features), rtol=0, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_ratios_grow_once_after_a_third_of_training(training):
    tuned, _, _ = made(text_growth=0.5, image_growth=0.25, depth=3)
    learner, method = tuned.train(training).learner, tuned.method
    text, image = learner().text_deep, learner().image[1:]
    norms = [torch.stack([(p @ p.T).norm() for p in tokens]).mean().item() for tokens in (text, image)]
    seen = []
    for epoch in range(9):
        method.after_epoch(tuned, State(epoch, 9))
        seen.append((learner.text.ratio.item(), learner.image.ratio.item()))
    grown = (0.3 + 0.5 * norms[0], 0.2 + 0.25 * norms[1])
    assert seen[2] == pytest.approx((0.3, 0.2)) and seen[3] == pytest.approx(grown) == seen[8]


@pytest.mark.parametrize("epochs, after", [(1, 0), (2, 0), (3, 1), (10, 3)])
def test_when_the_ratios_grow(epochs, after):
    tuned, _, _ = made()
    for epoch in range(epochs):
        before = tuned.learner.text.ratio.item()
        tuned.method.after_epoch(tuned, State(epoch, epochs))
        assert (tuned.learner.text.ratio.item() > before) == (epoch == after)


def test_one_layer_without_deep_tokens_does_not_grow_ratios():
    tuned, _, _ = made(depth=1)
    tuned.method.after_epoch(tuned, State(3, 9))
    assert tuned.learner.text.ratio == pytest.approx(0.3) and tuned.learner.text_norms.shape == (0,)


def test_gradients_change_neither_ratios_nor_reference_features():
    tuned, _ = trained(Restore(depth=2, text_growth=0, image_growth=0), tiny_clips.backbone("deep_image"))
    start = model(tuned.method, tuned.backbone, task())
    start.method.prepare(start, task())
    for name, tensor in start.learner.named_buffers():
        assert torch.equal(tensor, tuned.learner.get_buffer(name)) and tensor.all()


def test_a_trained_learner_keeps_its_reference():
    tuned, _ = trained(Restore(depth=2), tiny_clips.backbone("deep_image"))
    before = tuned.learner.text_norms.clone()
    tuned.method.prepare(tuned, task())
    assert torch.equal(before, tuned.learner.text_norms) and before.all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_gives_the_same_numbers(kind, tmp_path):
    method, of, file = Restore(depth=2, shift=kind), tiny_clips.backbone("deep_image"), tmp_path / "resume.safetensors"
    training = QUICK if kind == "features" else type(QUICK)(epochs=3, lr=1e-3, batch_size=4, augment="none")
    whole, history = trained(method, of, training)

    class Stop(Exception):
        pass

    class Killer:
        def __getattr__(self, name):
            return lambda *_: None

        def epoch(self, row):
            if row["epoch"] == 1:
                raise Stop

    with pytest.raises(Stop):
        trained(method, of, training, resume_file=file, watchers=[Killer()])
    again = model(method, of, task())
    assert fit(again, task(), training, fabric=fabric(), resume_file=file) == history
    assert same(learned(again), learned(whole))


@pytest.mark.parametrize("kind", KINDS)
def test_dapt_around_restore_adapts_every_view_and_prompt(kind):
    tuned, batch, state = made(shift=kind)
    alone = tuned.method.losses(tuned({"image": batch.images}, state), batch, state)
    around = Dapt(base=tuned.method, background_classes="sky water")
    tuned.method = around
    for epoch in (0, 8):
        now = State(epoch, 9, state.memory)
        out = tuned(around.views(batch), now)
        losses = around.losses(out, batch, now)
        torch.testing.assert_close([losses["ce"], losses["shift"]], [alone["ce"], alone["shift"]], rtol=1e-4, atol=1e-5)
        prompts, of = out.prompts, tuned.backbone
        for name, images in around.views(batch).items():
            raw = textbook.image_features(of.model, images, prompts.image)
            torch.testing.assert_close(out.image[name], adapted(tuned.learner.image, raw), rtol=0, atol=1e-4)
        if out.extra_text is not None:
            ids = textbook.tokens(of.prompt_tokenizer, around.extra_prompts(now))
            raw = textbook.text_features(of.model, ids, None, prompts.text_deep)
            torch.testing.assert_close(out.extra_text, adapted(tuned.learner.text, raw), rtol=0, atol=1e-4)
    assert out.extra_text is not None and len(out.extra_text) == 2


def test_grad_cam_goes_through_the_adapter():
    tuned, batch, _ = made()
    tuned.eval()
    activation, gradient = activation_and_gradient(tuned, batch.images, LABELS)
    with torch.no_grad():
        text = tuned.encode_classes()[0]
        tokens = tuned.prompts().image
    features, normed = textbook.image_tokens(tuned.backbone.model, batch.images, [t.requires_grad_() for t in tokens])
    logits = tuned.backbone.logit_scale * adapted(tuned.learner.image, features) @ text.T
    (expected,) = torch.autograd.grad(logits[torch.arange(3), LABELS].sum() / logits.numel(), normed)
    torch.testing.assert_close(activation, normed.detach(), rtol=0, atol=1e-4)
    assert (gradient - expected).abs().max() < 1e-3 * expected.abs().max()
    tuned.learner.image.ratio.zero_()
    assert not torch.allclose(activation_and_gradient(tuned, batch.images, LABELS)[1], gradient, rtol=0.01)


def test_prompts_equal_maples():
    of = tiny_clips.backbone("deep_image")
    method, maple = Restore(depth=3, n_ctx=3), Maple(depth=3, n_ctx=3)
    ours, theirs = model(method, of, task()), model(maple, of, task())
    assert same(learned(theirs), {n.removeprefix("prompts."): t for n, t in learned(ours).items() if "prompts." in n})
    assert torch.equal(method.class_prompts(of, ("cat",), ()).slots, maple.class_prompts(of, ("cat",), ()).slots)


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"text_ratio": 1.5}, "text_ratio must be from 0 to 1, got 1.5"),
        ({"image_ratio": -0.1}, "image_ratio must be from 0 to 1, got -0.1"),
        ({"shift_weight": -1.0}, "shift_weight must be at least 0, got -1.0"),
        ({"image_growth": -1.0}, "image_growth must be at least 0, got -1.0"),
    ],
)
def test_invalid_values_are_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        Restore(**fields)
