"""CLIP-Adapter: the paper's equations and the released second ReLU, with gradients."""

import pytest
import torch
import torch.nn.functional as F

import textbook
from cliptune.errors import UserError
from cliptune.methods.clip_adapter import ClipAdapter
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from tiny_clips import NAMES, VITS, backbone, normal, random_images, same_gradients

LABELS = torch.tensor([0, 3, 1])
CLEAN = [name.replace("_", " ") for name in NAMES]


def adapted(f, adapter, ratio, compat):
    """A(f) = ReLU(f W1) W2, equation (4), with one more ReLU in the release; a residual connection, equation (6)."""
    learned = (f @ adapter.down.weight.T).clamp(min=0) @ adapter.up.weight.T
    return ratio * (learned.clamp(min=0) if compat == "release" else learned) + (1 - ratio) * f


@pytest.mark.parametrize("shape", [*VITS, "resnet"])
@pytest.mark.parametrize("compat", ["paper", "release"])
@pytest.mark.parametrize("ratios", [(0.3, 0.0), (0.0, 0.4), (0.3, 0.4), (1.0, 0.0)], ids=str)
def test_equations(shape, compat, ratios):
    of, method = backbone(shape), ClipAdapter(*ratios, reduction=3, compat=compat)
    model = TunedModel(of, method, NAMES)
    with torch.no_grad():
        for i, parameter in enumerate(model.learner.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=i, std=0.3))
    images = random_images(of, len(LABELS))
    f = textbook.image_features(of.model, images)
    w = textbook.text_features(of.model, textbook.tokens(of.prompt_tokenizer, [f"a photo of a {n}." for n in CLEAN]))
    batch, state = Batch(images, LABELS), State(0, 1)
    out, cached = model(method.views(batch), state), model({"image": f}, state)
    if ratios[0]:
        f = adapted(f, model.learner.image, ratios[0], compat)
    if ratios[1]:
        w = adapted(w, model.learner.text, ratios[1], compat)
    expected = of.model.logit_scale.exp() * textbook.unit(f) @ textbook.unit(w).T
    torch.testing.assert_close(out.logits, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(cached.logits, expected, rtol=0, atol=1e-4)
    loss = method.losses(out, batch, state)["ce"]
    same_gradients(loss, F.cross_entropy(expected, LABELS), list(model.learner.parameters()))


def test_widths_and_start():
    of = backbone("deep_image")
    width = of.embed_dim
    one, two = (ClipAdapter().learner(of, NAMES, torch.Generator().manual_seed(seed)).image for seed in (1, 2))
    assert one.down.weight.shape == (width // 4, width) and one.up.weight.shape == (width, width // 4)
    assert one.down.bias is None and one.up.bias is None
    assert not torch.equal(one.down.weight, two.down.weight) and not torch.equal(one.up.weight, two.up.weight)
    assert one.down.weight.abs().max() <= width**-0.5 < one.up.weight.abs().max() <= (width // 4) ** -0.5


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"ratio": 1.2}, "ratio must be from 0 to 1, got 1.2"),
        ({"text_ratio": -0.1}, "text_ratio must be from 0 to 1, got -0.1"),
        ({"ratio": 0}, "ratio and text_ratio are both 0, so nothing would be learned; increase one of them"),
        ({"reduction": 0}, "reduction must be at least 1, got 0"),
    ],
)
def test_invalid_values_are_refused(options, reason):
    with pytest.raises(UserError, match=reason):
        ClipAdapter(**options)


def test_adapters_without_a_residual():
    with pytest.raises(UserError, match="reduction=49 is more than the feature width 48; decrease it"):
        TunedModel(backbone("deep_image"), ClipAdapter(reduction=49), NAMES)
