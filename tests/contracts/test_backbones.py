"""Every method on backbones of other widths and kinds: it trains, or is refused in one sentence."""

import re
from dataclasses import replace

import pytest

import tiny_clips
from cliptune.errors import UserError
from contracts.test_methods import PLAIN, TRAINED, suited
from tiny_tasks import QUICK, learned, model, same, task, trained

TRAINING = replace(QUICK, epochs=2)


def needs_vit(name: str) -> bool:
    """Whether the method tunes the inside of the image tower."""
    return not model(suited(name), tiny_clips.backbone("deep_image"), task()).fixed_image


@pytest.mark.parametrize("name", PLAIN)
def test_other_widths_and_depths(name):
    backbone = tiny_clips.backbone("deep_text")
    start = learned(model(suited(name), backbone, task()))
    tuned, history = trained(suited(name), backbone, TRAINING)
    assert (len(history) == TRAINING.epochs) == tuned.method.trains
    assert all(tensor.isfinite().all() for tensor in learned(tuned).values())
    assert not same(start, learned(tuned)) or not learned(tuned)


@pytest.mark.parametrize("kind", ["resnet", "timm"])
@pytest.mark.parametrize("name", [*PLAIN, *(f"{name}+dapt" for name in TRAINED)])
def test_image_towers_without_prompt_tokens(name, kind):
    """Methods on text and features work; methods with tokens in the image tower are refused before training."""
    backbone = tiny_clips.backbone(kind)
    if needs_vit(name):
        sentence = "backbone '.*' has a .* image tower; visual prompts and Grad-CAM need open_clip's ViT"
        with pytest.raises(UserError, match=sentence) as refusal:
            model(suited(name), backbone, task())
        assert not re.search(r"[.!?]\s", str(refusal.value).strip(".")), "more than a sentence"
        return
    tuned, history = trained(suited(name), backbone, TRAINING)
    assert bool(history) == tuned.method.trains
    assert all(tensor.isfinite().all() for tensor in learned(tuned).values())
