"""Image-conditional contexts."""

import torch
from torch import Generator

from cliptune.prompts.conditional import ConditionalContext
from tiny_clips import normal


def conditional(features=32, width=6):
    return ConditionalContext(normal(2, width), features, Generator().manual_seed(0))


def test_each_image_shifts_all_vectors_equally():
    learner, images = conditional(), normal(5, 32, seed=1)
    prompts = learner()
    assert prompts.text is None and not prompts.fixed_text and prompts.fixed_image
    contexts = prompts.conditional(images)
    assert contexts.shape == (5, 2, 6)
    first, second = learner.inner, learner.outer
    for context, image in zip(contexts, images, strict=True):
        hidden = (first.weight @ image + first.bias).clamp(min=0)
        expected = learner.text + (second.weight @ hidden + second.bias)
        torch.testing.assert_close(context, expected)


def test_the_hidden_width_is_a_sixteenth_and_at_least_1():
    assert conditional(32).inner.weight.shape == (2, 32)
    assert conditional(8).inner.weight.shape == (1, 8)


def test_every_parameter_is_used_and_starts_from_the_generator():
    learner = conditional()
    learner().conditional(normal(3, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in learner.parameters())
    torch.manual_seed(9)
    again = conditional().state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in learner.state_dict().items())
