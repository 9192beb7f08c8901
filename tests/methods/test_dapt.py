"""DAPT: two phases, views, background prompts, and wrapped methods."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import GENERAL_BACKGROUNDS, RELEASE_COMPETING_WORDS, Dapt
from cliptune.methods.maple import Maple
from cliptune.model.method import Method
from cliptune.model.tuned_model import TunedModel
from cliptune.objectives.decoupling import background_alignment_loss, pull_push
from cliptune.types import Batch, Outputs, Prompts, State
from tiny_tasks import QUICK, task, trained

NAMES = ("cat", "horse", "pig")
COOP = CoOp(n_ctx=2)
BASES = {"coop": COOP, "maple": Maple(depth=2)}


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def batch_of(backbone, n=4):
    masks = torch.linspace(0, 1, n).view(n, 1, 1, 1).expand(n, 1, backbone.image_size, backbone.image_size)
    return Batch(tiny_clips.random_images(backbone, n), torch.arange(n) % len(NAMES), masks)


def unit(*shape, seed):
    return F.normalize(tiny_clips.normal(*shape, seed=seed), dim=-1)


@pytest.mark.parametrize(
    "epochs, switch, first",
    [
        (10, 0.7, 7),
        (5, 0.7, 4),
        (2, 0.7, 1),
        (3, 0.7, 2),
        (5, 0.95, 4),
        (3, 1.0, 3),
        (20, 0.7, 14),
        (10, 0.0, 0),
        (10, 1.0, 10),
        (4, 0.5, 2),
    ],
)
def test_the_first_phase_is_a_share_of_the_epochs(epochs, switch, first):
    method = Dapt(switch=switch)
    assert [method.decoupling(State(e, epochs)) for e in range(epochs)] == [True] * first + [False] * (epochs - first)


@pytest.mark.parametrize("switch, first", [(0.7, 7), (0.0, 0), (1.0, 10), (0.95, 9)])
def test_a_single_epoch_switches_between_its_steps(switch, first):
    method = Dapt(switch=switch)
    phases = [method.decoupling(State(0, 1, step=step, steps=10)) for step in range(10)]
    assert phases == [True] * first + [False] * (10 - first)


def test_background_prompts_belong_to_the_second_phase():
    method = Dapt(background_classes="sky  sea", background_template="there is {} behind.")
    assert method.extra_prompts(None) == method.extra_prompts(State(0, 10)) == ()
    assert method.extra_prompts(State(7, 10)) == ("there is sky behind.", "there is sea behind.")
    default = Dapt().extra_prompts(State(9, 10))
    assert len(default) == len(GENERAL_BACKGROUNDS.split()) == 25 and default[0] == "a clean origami ground."


def test_views_split_an_image_by_its_soft_mask(backbone):
    batch = batch_of(backbone)
    views = Dapt().views(batch)
    assert list(views) == ["image", "foreground", "background"]
    assert torch.equal(views["image"], batch.images)
    assert torch.allclose(views["foreground"] + views["background"], batch.images, atol=1e-6)
    assert torch.equal(views["foreground"], batch.images * batch.masks)
    assert not views["foreground"][0].any() and not views["background"][-1].any()


def test_views_need_masks(backbone):
    with pytest.raises(UserError, match="dapt needs a mask for every training image; choose a source with masks_from"):
        Dapt().views(Batch(tiny_clips.random_images(backbone, 2), torch.tensor([0, 1])))


def test_views_without_a_gradient_are_reported():
    assert Dapt().stop_gradient_views(State(0, 10)) == {"foreground", "background"}
    assert Dapt().stop_gradient_views(State(9, 10)) == {"foreground"}


@pytest.mark.parametrize("epoch", [0, 9])
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("compat", ["paper", "release"])
def test_no_loss_takes_a_gradient_of_a_detached_view(backbone, base, epoch, compat):
    """Views encoded without a graph must not need a gradient."""
    method = Dapt(BASES[base], compat=compat)
    tuned, batch, state = TunedModel(backbone, method, NAMES), batch_of(backbone), State(epoch, 10)
    # An all-white mask makes foreground and image equal, where their distance has no stable gradient.
    batch = replace(batch, masks=0.2 + 0.5 * batch.masks)
    gradients = []
    for stopped in (method.stop_gradient_views(state), frozenset()):
        text, extra_text = tuned.encode_classes(state)
        prompts = tuned.learner()
        image = tuned.encode_views(method.views(batch), prompts, stopped)
        scale = backbone.logit_scale
        out = Outputs(image, text, scale, scale.new_empty(0), prompts, extra_text)
        out = replace(out, logits=method.logits(out))
        loss = sum(method.losses(out, batch, state).values())
        gradients.append(torch.autograd.grad(loss, list(tuned.learner.parameters())))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max())) and other.any()


def outputs(method, extra=25, scale=10.0):
    image = {name: unit(4, 8, seed=i) for i, name in enumerate(("image", "foreground", "background"))}
    text, factor = unit(3, 8, seed=5), torch.tensor(scale)
    generator = unit(extra, 8, seed=6) if extra else None
    out = Outputs(image, text, factor, torch.empty(0), Prompts(), generator)
    return replace(out, logits=method.logits(out))


LABELS = torch.tensor([2, 0, 1, 1])


def test_first_phase_by_hand():
    method = Dapt(COOP, pull_push=0.3, margin=1.2)
    out = outputs(method, extra=0)
    losses = method.losses(out, Batch(torch.empty(0), LABELS), State(0, 10))
    assert set(losses) == {"ce", "pull_push"}
    assert losses["ce"].item() == pytest.approx(F.cross_entropy(10 * out.image["image"] @ out.text.T, LABELS).item())
    expected = 0.3 * pull_push(out.image["image"], out.image["foreground"], out.image["background"], 1.2)
    assert losses["pull_push"].item() == pytest.approx(expected.item())


def test_the_papers_settings_are_the_defaults():
    """The losses of both phases with the paper's weights and margin."""
    method = Dapt(COOP)
    out, batch = outputs(method), Batch(torch.empty(0), LABELS)
    u, foreground, background = (out.image[name] for name in ("image", "foreground", "background"))
    near, far = (u - foreground).norm(dim=1), (u - background).norm(dim=1)
    hinge = 1.5 + near - far
    assert (hinge > 0.5).all(), "a smaller margin would change every term"
    first = method.losses(out, batch, State(6, 10))
    assert first["pull_push"].item() == pytest.approx(0.8 * hinge.mean().item(), abs=1e-5)
    second = method.losses(out, batch, State(7, 10))
    align = F.cross_entropy(10 * foreground @ out.text.T, LABELS)
    cosines = background @ out.extra_text.T
    apart = F.cross_entropy(10 * cosines, cosines.argmax(1))
    assert second["foreground"].item() == pytest.approx(0.1 * align.item())
    assert second["background"].item() == pytest.approx(0.5 * apart.item())


def test_second_phase_by_hand():
    method = Dapt(COOP, foreground=0.2, background=0.7)
    out = outputs(method)
    losses = method.losses(out, Batch(torch.empty(0), LABELS), State(8, 10))
    assert set(losses) == {"ce", "foreground", "background"}
    foreground = 0.2 * F.cross_entropy(10 * out.image["foreground"] @ out.text.T, LABELS)
    background = 0.7 * background_alignment_loss(out.image["background"], out.extra_text, out.logit_scale)
    assert losses["foreground"].item() == pytest.approx(foreground.item())
    assert losses["background"].item() == pytest.approx(background.item())


def test_logits_of_the_paper_have_one_column_per_class_in_both_phases(backbone):
    tuned = TunedModel(backbone, Dapt(COOP), NAMES)
    for state in (None, State(0, 10), State(9, 10)):
        assert tuned({"image": tiny_clips.random_images(backbone, 2)}, state).logits.shape == (2, 3)
    released = TunedModel(backbone, Dapt(COOP, compat="release"), NAMES).eval()
    assert released({"image": tiny_clips.random_images(backbone, 2)}).logits.shape == (2, 3 + RELEASE_COMPETING_WORDS)


def test_the_wrapped_method_defines_learner_and_hooks():
    calls = []

    class Base(CoOp):
        def prepare(self, model, task):
            calls.append("prepare")
            return "memory"

        def update(self, losses, parameters):
            calls.append("update")
            Method.update(self, losses, parameters)

        def finish(self, model, history):
            calls.append("finish")

    tuned, history = trained(Dapt(Base(n_ctx=2), switch=0.5), tiny_clips.backbone("deep_image"))
    assert [p.shape for p in tuned.learner.parameters()] == [(2, 64)]
    assert calls == ["prepare", *["update"] * (3 * len(task().train) // QUICK.batch_size), "finish"]
    assert len(history) == QUICK.epochs


def test_each_phase_reports_its_losses():
    _, history = trained(Dapt(Maple(depth=2), switch=0.5), tiny_clips.backbone("deep_image"))
    assert [set(row) - {"epoch", "lr", "loss", "ce"} for row in history] == [
        {"pull_push"},
        {"pull_push"},
        {"foreground", "background"},
    ]


def test_both_phases_of_a_single_epoch_are_reported():
    once = replace(QUICK, epochs=1)
    _, (row,) = trained(Dapt(Maple(depth=2)), tiny_clips.backbone("deep_image"), once)
    terms = [row[name] for name in ("ce", "pull_push", "foreground", "background")]
    assert min(terms) > 0 and row["loss"] == pytest.approx(sum(terms))


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"switch": 1.5}, "switch must be from 0 to 1, got 1.5"),
        ({"switch": -0.1}, "switch must be from 0 to 1"),
        ({"background_classes": " "}, "background_classes is empty; give words for backgrounds"),
    ],
)
def test_meaningless_settings_are_refused(options, reason):
    with pytest.raises(UserError, match=reason):
        Dapt(**options)
