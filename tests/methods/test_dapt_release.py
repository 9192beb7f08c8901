"""DAPT as released: 32 background words, some competing with the classes, a fixed switch, another mask encoding."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import tiny_clips
from cliptune.engine.evaluate import predict_logits
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import FOOD_BACKGROUNDS, GENERAL_BACKGROUNDS, RELEASE_COMPETING_WORDS, Dapt
from cliptune.model.tuned_model import TunedModel
from cliptune.objectives.decoupling import background_alignment_loss
from cliptune.protocols.base_to_novel import base_to_novel
from cliptune.protocols.cross_dataset import cross_dataset
from cliptune.types import Batch, Outputs, Prompts, State
from tiny_tasks import task

NAMES = ("cat", "horse", "pig")
COOP = CoOp(n_ctx=2)
TARGET = "emoji:classes=validation"


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def unit(*shape, seed):
    return F.normalize(tiny_clips.normal(*shape, seed=seed), dim=-1)


def outputs(method, extra=25, scale=10.0):
    image = {name: unit(4, 8, seed=i) for i, name in enumerate(("image", "foreground", "background"))}
    text, factor = unit(3, 8, seed=5), torch.tensor(scale)
    generator = unit(extra, 8, seed=6) if extra else None
    out = Outputs(image, text, factor, torch.empty(0), Prompts(), generator)
    return replace(out, logits=method.logits(out))


LABELS = torch.tensor([2, 0, 1, 1])


@pytest.mark.parametrize("epochs", [5, 10, 50])
def test_the_release_always_switches_after_the_seventh_epoch(epochs):
    method = Dapt(compat="release", switch=0.1)
    assert [e for e in range(epochs) if method.decoupling(State(e, epochs))] == list(range(min(7, epochs)))


def test_the_release_always_uses_all_background_words():
    method = Dapt(compat="release")
    expected = tuple(f"a clean origami {word}." for word in (GENERAL_BACKGROUNDS + " " + FOOD_BACKGROUNDS).split())
    assert len(expected) == 32
    assert (
        method.extra_prompts(None)
        == method.extra_prompts(State(0, 10))
        == method.extra_prompts(State(9, 10))
        == expected
    )


def test_the_release_has_seven_competing_words():
    method = Dapt(COOP, compat="release")
    out = outputs(method, extra=32)
    columns = torch.cat([out.text, out.extra_text[:RELEASE_COMPETING_WORDS]])
    assert RELEASE_COMPETING_WORDS == 7 and torch.allclose(out.logits, 10 * out.image["image"] @ columns.T, atol=1e-5)
    losses = method.losses(out, Batch(torch.empty(0), LABELS), State(7, 10))
    ce = F.cross_entropy(10 * out.image["image"] @ columns.T, LABELS)
    foreground = 0.1 * F.cross_entropy(10 * out.image["foreground"] @ columns.T, LABELS)
    background = 0.5 * background_alignment_loss(out.image["background"], out.extra_text[7:], out.logit_scale)
    assert losses["ce"].item() == pytest.approx(ce.item(), rel=1e-5)
    assert losses["foreground"].item() == pytest.approx(foreground.item(), rel=1e-5)
    assert losses["background"].item() == pytest.approx(background.item(), rel=1e-5)


def test_in_the_release_all_words_compete_on_novel_classes(backbone):
    released = TunedModel(backbone, Dapt(COOP, compat="release"), NAMES).eval()
    views = {"image": tiny_clips.random_images(backbone, 2)}
    words = len((GENERAL_BACKGROUNDS + " " + FOOD_BACKGROUNDS).split())
    for others, columns in (
        (("dog", "cow"), 2 + words),
        (("pig", "cow"), 2 + words),
        (("pig", "cat"), 2 + RELEASE_COMPETING_WORDS),
    ):
        logits = released.with_classes(others)(views).logits
        assert logits.shape == (2, columns)
        text, extra_text = released.with_classes(others).encode_classes()
        image = released.encode_views(views, released.prompts())["image"]
        expected = backbone.logit_scale * image @ torch.cat([text, extra_text[: columns - 2]]).T
        assert torch.allclose(logits, expected, atol=1e-4)
    assert released.with_classes(("dog", "cow")).with_classes(NAMES)(views).logits.shape == (
        2,
        3 + RELEASE_COMPETING_WORDS,
    )
    paper = TunedModel(backbone, Dapt(COOP), NAMES).eval()
    assert paper.with_classes(("dog", "cow"))(views).logits.shape == (2, 2)


def test_competing_words_depend_on_the_protocols_test_sets(backbone):
    """All words on novel classes of the training data, seven on training classes and on other data."""
    data, released = task().dataset, Dapt(COOP, compat="release")
    halves, across = (
        next(base_to_novel(data, shots=4, seeds=[1])),
        next(cross_dataset(data, shots=4, seeds=[1], targets=[TARGET])),
    )
    for one, extra in (
        (halves, {"base": RELEASE_COMPETING_WORDS, "novel": 32}),
        (across, {"source": RELEASE_COMPETING_WORDS, TARGET: RELEASE_COMPETING_WORDS}),
    ):
        model = TunedModel(backbone, released, one.classnames, data.templates)
        for name, added in extra.items():
            test = replace(one.tests[name], examples=one.tests[name].examples[:2])
            assert predict_logits(model, data, test).shape == (2, len(test.classnames) + added), name


@pytest.mark.parametrize(
    "spec, release", [("folder:a/b", "seem:a/b"), ("beside", "seem"), ("data", "data"), ("gradcam", "gradcam")]
)
def test_the_release_reads_stored_masks_with_its_own_encoding(spec, release):
    assert Dapt(masks_from=spec).mask_source() == spec
    assert Dapt(masks_from=spec, compat="release").mask_source() == release
