"""DAPT around a frozen image tower: what is left out changes neither masks, losses that train, nor what is learned."""

from dataclasses import dataclass, field, replace

import pytest
import torch

import tiny_clips
from cliptune.engine import feature_cache
from cliptune.methods.coop import CoOp
from cliptune.methods.copypaste import CopyPaste
from cliptune.methods.dapt import Dapt
from cliptune.methods.dept import Dept
from cliptune.methods.language import Language
from cliptune.methods.maple import Maple
from cliptune.saliency import last_input
from cliptune.types import Prompts, State
from tiny_tasks import QUICK, learned, trained

COOP = CoOp(n_ctx=2)
TEXT = Prompts(text=torch.zeros(2, 4))
FIRST, SECOND = State(0, 10), State(9, 10)


@dataclass(frozen=True)
class Watched(Dapt):
    """Records the masks of each epoch that are not foreground everywhere."""

    seen: list = field(default_factory=list, compare=False)

    def views(self, batch):
        if not bool((batch.masks == 1).all()):
            self.seen.append({int(i): m for i, m in zip(batch.index, batch.masks, strict=True)})
        return super().views(batch)


@dataclass(frozen=True)
class Whole(Watched):
    """Encodes all views and refreshes all masks."""

    def idle_views(self, prompts, state):
        return frozenset()

    def needs_masks(self, prompts, state):
        return True


def test_training_is_that_with_all_views_and_masks(monkeypatch):
    training = replace(QUICK, epochs=4)
    backbone, runs = tiny_clips.backbone("deep_image"), {}
    for kind in (Watched, Whole):
        method = kind(COOP, masks_from="gradcam", switch=0.5)
        if kind is Whole:
            monkeypatch.setattr(last_input, "MAX_BYTES", 0)
            monkeypatch.setattr(feature_cache, "MAX_FIXED", 0)
        runs[kind] = method, *trained(method, backbone, training)
    (method, tuned, history), (whole, expected, rows) = runs[Watched], runs[Whole]
    steps = len(whole.seen) // 4
    assert len(method.seen) == 2 * steps, "no masks in the first phase"
    for one, other in zip(method.seen, whole.seen[2 * steps :], strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[i], other[i]) for i in one)
    assert [set(row) for row in history] == [{"epoch", "lr", "loss", "ce"}] * 2 + [
        {"epoch", "lr", "loss", "ce", "foreground"}
    ] * 2
    for row, reference in zip(history, rows, strict=True):
        assert {"pull_push", "background"} & reference.keys()
        for name in row.keys() - {"loss"}:
            assert row[name] == pytest.approx(reference[name], rel=1e-5), name
    for name, tensor in learned(expected).items():
        assert torch.allclose(learned(tuned)[name], tensor, rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize(
    "prompts, first, second",
    [
        (TEXT, {"foreground", "background"}, {"background"}),
        (replace(TEXT, text_deep=(torch.zeros(3, 2, 4),)), {"foreground", "background"}, {"background"}),
        (replace(TEXT, text_deep=(torch.zeros(2, 4),)), {"foreground", "background"}, set()),
        (replace(TEXT, adapt_text=torch.relu), {"foreground", "background"}, set()),
        (replace(TEXT, adapt_image=torch.relu), set(), set()),
        (replace(TEXT, image=(torch.zeros(2, 4),)), set(), set()),
    ],
    ids=["context", "deep text per class", "deep text", "text adapter", "image adapter", "image tokens"],
)
def test_idle_views_follow_from_what_is_learned(prompts, first, second):
    method = Dapt(COOP)
    assert method.idle_views(prompts, FIRST) == first
    assert method.idle_views(prompts, SECOND) == second
    assert method.needs_masks(prompts, FIRST) == (not first)
    assert method.needs_masks(prompts, SECOND)


def test_masks_are_needed_if_a_later_step_or_the_wrapped_method_needs_them():
    assert Dapt(COOP).needs_masks(TEXT, State(0, 1, step=0, steps=10)), "a single epoch has both phases"
    assert not Dapt(COOP, switch=1).needs_masks(TEXT, State(0, 1, step=0, steps=10))
    assert Dapt(CopyPaste(COOP, masks_from="grid")).needs_masks(TEXT, FIRST)
    assert CopyPaste(Dapt(COOP)).needs_masks(TEXT, FIRST), "its own views are made from masks"
    assert not Dept(Dapt(COOP)).needs_masks(TEXT, FIRST) and Dept(Dapt(COOP)).needs_masks(TEXT, SECOND)


@pytest.mark.parametrize("base", [COOP, Language(n_ctx=2, depth=2), Maple(n_ctx=2, depth=2)])
def test_training_of_other_augmentations_and_bases(base):
    """Views that differ between epochs are not taken from the first."""
    training = replace(QUICK, augment="flip", epochs=2)
    backbone = tiny_clips.backbone("deep_image")
    runs = [trained(kind(base, masks_from="grid", switch=0.5), backbone, training) for kind in (Dapt, Whole)]
    for one, other in zip(learned(runs[0][0]).values(), learned(runs[1][0]).values(), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
