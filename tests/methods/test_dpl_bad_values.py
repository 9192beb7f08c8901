"""DPL refuses invalid values."""

import pytest
from torch import Generator

import tiny_clips
from cliptune.errors import UserError
from cliptune.methods.dpl import Dpl
from cliptune.model.tuned_model import TunedModel
from cliptune.types import State

NAMES = ("cat", "steam locomotive")


@pytest.fixture(scope="module")
def backbone():
    return tiny_clips.backbone("deep_image")


def tuned_to(method, backbone, names=NAMES, templates=("a photo of a {}.",)):
    return TunedModel(backbone, method, names, templates, Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"longest_text": -1}, "longest_text must be at least 0, got -1"),
        ({"search_epochs": 0}, "search_epochs must be at least 1, got 0"),
        ({"search_batch": 0}, "search_batch must be at least 1, got 0"),
        ({"longest_text": 0, "longest_image": 0}, "leave nothing to learn; increase one of them"),
        ({"search_lr": 0.0}, "search_lr must be positive, got 0.0"),
        ({"search_betas": (0.5, 1.0)}, r"search_betas must be below 1, got \(0.5, 1.0\)"),
        ({"distill": -1.0}, "distill must be at least 0, got -1.0"),
        ({"words": "a {}"}, "must not contain braces.*got 'a {}'"),
        ({"lengths_image": (1, -1)}, r"lengths_image must be at least 0, got \(1, -1\)"),
    ],
)
def test_invalid_values_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Dpl(**options)


@pytest.mark.parametrize(("field", "depth"), [("lengths_text", 3), ("lengths_image", 4)])
def test_one_length_per_layer(backbone, field, depth):
    message = f"{field} has 2 values, but backbone 'deep_image' has {depth} such layers; give one value per layer"
    with pytest.raises(UserError, match=message):
        tuned_to(Dpl(**{field: (1, 2)}), backbone)


def test_a_resnet_has_text_prompts_only():
    resnet = tiny_clips.backbone("resnet")
    for method in (Dpl(), Dpl(lengths_image=(1, 1))):
        with pytest.raises(UserError, match="has a ModifiedResNet image tower; visual prompts .* need open_clip's ViT"):
            tuned_to(method, resnet)
    search = tuned_to(Dpl(longest_image=0, longest_text=2), resnet)
    assert search({"image": tiny_clips.random_images(resnet, 2)}, State(0, 1)).logits.requires_grad
    after = search.method.next_stage(search)
    assert len(after.lengths_text) == 2 and after.lengths_image == ()
    assert not tuned_to(after, resnet).learner().image_kv
