"""Surgery mixes a feed-forward block into features by a ratio that is not trained."""

import pytest
import torch
from torch import Generator, nn

from cliptune.adapters.surgery import Surgery, SurgeryLearner
from cliptune.prompts.initialization import init_linear
from cliptune.prompts.no_prompts import NoPrompts
from tiny_clips import normal


def surgery(ratio: float = 0.3, width: int = 6) -> Surgery:
    generator = Generator().manual_seed(1)
    made = Surgery(init_linear(width, 4 * width, generator), init_linear(4 * width, width, generator), ratio)
    with torch.no_grad():
        for i, parameter in enumerate(made.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=i))
    return made


def test_it_is_the_mixture_of_the_features_and_the_block():
    made, x = surgery(0.3), normal(5, 6, seed=9)
    normed = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    hidden = (normed * made.norm.weight + made.norm.bias) @ made.widen.weight.T + made.widen.bias
    block = x + (hidden * torch.sigmoid(1.702 * hidden)) @ made.narrow.weight.T + made.narrow.bias
    torch.testing.assert_close(made(x), 0.3 * block + 0.7 * x)


def test_ratio_0_is_the_identity():
    x = normal(5, 6)
    assert torch.equal(surgery(0.0)(x), x)


def test_the_ratio_is_saved_but_not_trained():
    made = surgery(0.3)
    assert "ratio" in made.state_dict() and "ratio" not in dict(made.named_parameters())
    made(normal(5, 6)).sum().backward()
    assert not made.ratio.requires_grad and all(p.grad is not None and p.grad.any() for p in made.parameters())
    other = surgery(0.9)
    other.load_state_dict(made.state_dict())
    assert other.ratio == pytest.approx(0.3)


def test_a_learner_returns_prompts_with_both_adapters():
    learner = SurgeryLearner(NoPrompts(), surgery(), surgery(0.5), 2)
    prompts = learner()
    assert prompts.adapt_text is learner.text and prompts.adapt_image is learner.image
    assert learner.text_norms.shape == learner.image_norms.shape == (2,)
    assert isinstance(learner, nn.Module)
