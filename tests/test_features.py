"""Image and text features: methods classify by them, and some methods have their own image features."""

from dataclasses import fields

import pytest
import torch

import cliptune as ct
from cliptune import methods
from cliptune.config import RunConfig
from cliptune.methods.dapt import Dapt
from cliptune.model.tuned_model import TunedModel
from cliptune.model_io import lazy_teacher
from tiny_clips import normal

NAMES = ("cat", "horse", "pig")
#: Methods that tune the image tower or act on its features.
TUNE_IMAGES = {"vpt", "ivlp", "maple", "promptsrc", "restore", "dpl", "dpt", "clip_lora", "clip_adapter", "promptkd"}
TUNE_IMAGES |= {"coprompt", "hicropl", "mmrl", "mmrlpp", "two_stage_fs"}
#: Methods whose head adds to the cosine similarities or replaces them.
HEADS = {"linear_probe", "tip_adapter", "tip_adapter_f"}


def tuned(name, backbone):
    """A model whose learned tensors have moved from their initial values."""
    kind = methods.get(name)
    sizes = {field.name: 2 for field in fields(kind) if "depth" in field.name}
    sizes |= {field.name: 1 for field in fields(kind) if field.name in ("cross_layer", "block")}
    method = kind(**sizes)  # type: ignore[arg-type]
    model = TunedModel(backbone, method, NAMES, teacher=lazy_teacher(method, backbone))
    with torch.no_grad():
        for i, parameter in enumerate(model.learner.parameters()):
            parameter += 0.05 * normal(*parameter.shape, seed=i)
    return ct.Tuned(model, RunConfig(method, data="emoji"))


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def frozen(tiny_backbone, images):
    return tuned("zeroshot", tiny_backbone).image_features(images)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in methods.names() if name not in methods.wrapper_names()])
def test_logits_are_computed_from_the_features(name, tiny_backbone, images, frozen):
    run = tuned(name, tiny_backbone)
    features = run.image_features(images)
    assert features.shape == (4, tiny_backbone.embed_dim) and not features.requires_grad
    assert torch.allclose(features.norm(dim=-1), torch.ones(4), atol=1e-5)
    assert torch.allclose(features, frozen, atol=1e-6) == (name not in TUNE_IMAGES)
    if name == "cocoop":
        with pytest.raises(ct.UserError, match="depend on the image"):
            run.text_features()
        return
    assert (run.model.prompts().head is not None) == (name in HEADS)
    if name not in HEADS and not (run.model.method.needs_tokens or run.model.method.needs_frozen):
        cosines = tiny_backbone.logit_scale * features @ run.text_features().T
        assert torch.allclose(cosines, run.logits(images), atol=1e-3)


def test_a_wrapper_has_the_features_of_the_wrapped_method(tiny_backbone, images):
    maple = tuned("maple", tiny_backbone)
    wrapped = TunedModel(tiny_backbone, Dapt(maple.run.method, compat="release"), NAMES)
    wrapped.learner.load_state_dict(maple.model.learner.state_dict())
    run = ct.Tuned(wrapped, RunConfig(wrapped.method, data="emoji"))
    assert torch.equal(run.image_features(images), maple.image_features(images))
    assert torch.equal(run.text_features(), maple.text_features())
    assert run.logits(images).shape == (4, 3), "extra columns of the release are no classes"


def test_image_features_do_not_depend_on_the_classes(tiny_backbone, images):
    run = tuned("maple", tiny_backbone)
    other = run.with_classes(["mouse", "bear"])
    assert torch.equal(other.image_features(images), run.image_features(images))
    assert other.text_features().shape == (2, tiny_backbone.embed_dim)
