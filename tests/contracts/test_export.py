"""What leaves a run gives its predictions, for every method: features, and open_clip weights."""

import re
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import open_clip
import pytest
import torch

import tiny_clips
from cliptune.engine.fit import fit
from cliptune.errors import UserError
from cliptune.model.export import export_open_clip
from cliptune.types import Prompts
from contracts.test_methods import OTHERS, TRAINED, TRAINING, USUAL, refusal, suited
from tiny_tasks import fabric, model, task, trained

BRIEF = replace(TRAINING, epochs=2)
PAGE = Path(__file__).parents[2] / "docs" / "python.md"
INSIDE = [f"{inner}+{outer}" for inner in ("coop", "clip_lora") for outer in ("dept", "atprompt", "dept+dapt")]
NAMES = list(dict.fromkeys([*USUAL, *INSIDE, *(f"{name}+copypaste+dapt" for name in ("clip_lora", "two_stage_fs"))]))
OTHER_NAMES = [name for name in [*OTHERS, *(f"{n}+{w}+dapt" for n in TRAINED for w in ("dept", "atprompt"))]]
OTHER_NAMES = [pytest.param(name, marks=pytest.mark.slow) for name in OTHER_NAMES if name not in NAMES]
pytestmark = pytest.mark.parametrize("name", [*NAMES, *OTHER_NAMES])


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


@pytest.fixture(scope="module")
def run_of(backbone):
    return cache(lambda name: last_stage(name, backbone))


def last_stage(name, backbone):
    """The model of a method after all of its stages."""
    tuned, _ = trained(suited(name), backbone, BRIEF)
    while (method := tuned.method.next_stage(tuned)) is not None:
        before, tuned = tuned, model(method, backbone, task())
        method.continue_from(tuned, before)
        fit(tuned, task(), BRIEF, fabric=fabric())
    return tuned


@pytest.fixture
def run(name, run_of):
    """The method's model after training; combinations that are refused are skipped."""
    if why := refusal(name):
        assert "+" in name
        pytest.skip(why)
    return run_of(name)


def images(run, n=4):
    return tiny_clips.random_images(run.backbone, n)


def documented(name: str) -> str:
    """The row of the page's table of features about a method, or about one of its wrappers that has its own."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    own = {method: row for row in rows for method in re.findall(r"`(\w+)`", row.split("|")[1])}
    inner, *outer = name.split("+")
    return next((own[wrapper] for wrapper in outer if wrapper in own), own[inner])


@torch.no_grad()
def test_features_are_the_classifier_unless_the_page_says_otherwise(name, run):
    row, batch = documented(name), images(run)
    logits = run({"image": batch}).logits
    try:
        text = run.encode_classes()[0]
    except UserError as error:
        assert "depend on the image" in str(error) and "none, as prompts" in row
        return
    image = run.encode_views({"image": batch}, run.prompts())["image"]
    same = torch.allclose(run.backbone.logit_scale * image @ text.T, logits, atol=1e-3)
    assert same != ("only `logits`" in row), "docs/python.md, Features"


@torch.no_grad()
def test_open_clip_weights_give_the_features_and_logits_or_are_refused(name, run, tmp_path):
    file, prompts = tmp_path / "weights.safetensors", run.prompts()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            export_open_clip(run, file)
        except UserError as error:
            assert not re.search(r"[.!?]\s", str(error).strip(".")) and not file.exists()
            only_changes = (prompts.text_change or prompts.image_change) and not prompts.parts
            assert not only_changes and re.search(r"cannot be exported: it has|changes no weights", str(error))
            return
    plain = open_clip.model.CLIP(**tiny_clips.SHAPES["deep_image"]).eval()
    open_clip.load_checkpoint(plain, str(file))
    batch = images(run)
    image = run.encode_views({"image": batch}, prompts)["image"]
    assert torch.allclose(plain.encode_image(batch, normalize=True), image, atol=1e-5)
    frozen = run.encode_views({"image": batch}, Prompts())["image"]
    assert prompts.image_change is None or (image - frozen).abs().max() > 1e-4, "nothing was learned"
    sentences = [f"a photo of a {name.replace('_', ' ')}." for name in run.classnames]
    text = plain.encode_text(open_clip.SimpleTokenizer()(sentences), normalize=True)
    assert torch.allclose(text, run.backbone.class_features(run.class_text.text, prompts), atol=1e-5)
    if not caught:
        logits = plain.logit_scale.exp() * plain.encode_image(batch, normalize=True) @ text.T
        assert torch.allclose(logits, run({"image": batch}).logits, atol=1e-3)
    else:
        assert not torch.allclose(text, run.encode_classes()[0], atol=1e-3), str(caught[0].message)
