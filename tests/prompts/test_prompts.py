"""Prompt learners: shapes, initial values from the passed generator, and the prompts of each tower."""

import pytest
import torch
from torch import Generator

from cliptune.prompts.context import TextContext
from cliptune.prompts.coupled import CoupledPrompts
from cliptune.prompts.initialization import TOKEN_STD, init_linear, random_tokens, words_or_random
from cliptune.prompts.no_prompts import NoPrompts
from tiny_clips import normal


def seeded(seed=0):
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(4, 8), (3, 4, 8)])
def test_context_copies_its_initial_value_into_one_parameter(shape):
    start = normal(*shape)
    context = TextContext(start)
    start.zero_()
    (parameter,) = context.parameters()
    prompts = context()
    assert prompts.text is parameter and parameter.any() and parameter.shape == shape
    assert prompts.text_deep == () and prompts.image == ()


def test_a_learner_without_parameters_returns_no_prompts():
    prompts = NoPrompts()()
    assert prompts.text is None and not prompts.text_deep and not prompts.image
    assert list(NoPrompts().parameters()) == []


@pytest.mark.parametrize("text_depth, image_depth", [(3, 4), (5, 2), (4, 4)])
@pytest.mark.parametrize("depth", [1, 2, 4, 5])
def test_coupled_tokens_fit_both_towers(depth, text_depth, image_depth):
    coupled = CoupledPrompts(normal(2, 6), depth, 10, text_depth, image_depth, seeded())
    prompts = coupled()
    assert prompts.text is not None and prompts.text.shape == (2, 6)
    assert len(prompts.text_deep) == min(depth, text_depth) - 1
    assert [p.shape for p in prompts.image] == [(2, 10)] * min(depth, image_depth)


def test_coupled_image_tokens_are_linear_in_the_same_layers_text_tokens():
    coupled = CoupledPrompts(normal(2, 6), 3, 10, 3, 3, seeded())
    prompts = coupled()
    for layer, (text, image) in enumerate(zip([prompts.text, *prompts.text_deep], prompts.image, strict=True)):
        project = coupled.to_image[layer]
        assert torch.allclose(image, text @ project.weight.T + project.bias, atol=1e-6)


def test_deep_projections_start_equal_and_are_independent():
    coupled = CoupledPrompts(normal(2, 6), 3, 10, 3, 3, seeded())
    first, second, third = coupled.to_image
    assert torch.equal(second.weight, third.weight) and torch.equal(second.bias, third.bias)
    assert not torch.equal(first.weight, second.weight)
    sum(p.square().sum() for p in coupled().image).backward()
    assert second.weight.grad is not third.weight.grad and not torch.equal(second.weight.grad, third.weight.grad)


def test_every_coupled_parameter_is_used():
    for depths in ((3, 4), (5, 2)):
        coupled = CoupledPrompts(normal(2, 6), 5, 10, *depths, seeded())
        prompts = coupled()
        sum(p.square().sum() for p in (prompts.text, *prompts.text_deep, *prompts.image)).backward()
        unused = [name for name, p in coupled.named_parameters() if p.grad is None]
        assert unused == [f"text.{i}" for i in range(max(depths), 5)]


def test_initial_values_depend_on_the_generator_only():
    torch.manual_seed(1)
    one = CoupledPrompts(normal(2, 6), 3, 10, 3, 3, seeded(5)).state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two = CoupledPrompts(normal(2, 6), 3, 10, 3, 3, seeded(5)).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(before, torch.get_rng_state()), "the global generator was drawn from"


def test_random_tokens_are_normal_with_standard_deviation_0_02():
    tokens = random_tokens(200, 100, seeded())
    assert abs(tokens.mean()) < 5e-4 and tokens.std().item() == pytest.approx(TOKEN_STD, rel=0.02)


def test_linear_is_initialised_like_pytorchs():
    layer = init_linear(64, 32, seeded())
    reference = torch.nn.Linear(64, 32)
    assert layer.weight.shape == reference.weight.shape and layer.bias.shape == reference.bias.shape
    for parameter in layer.parameters():
        assert parameter.abs().max() <= 64**-0.5
        assert parameter.std().item() == pytest.approx(64**-0.5 / 3**0.5, rel=0.15)


def test_words_initialise_one_vector_per_token():
    assert words_or_random("a photo of a", 4, 4) == "a photo of a"
    assert words_or_random("a photo of a", 2, 4) == "a photo of a"
    assert words_or_random("", 2, 0) == ""
    with pytest.warns(UserWarning, match="'a photo of a' has 4 tokens, too few for n_ctx=5: context starts at random"):
        assert words_or_random("a photo of a", 5, 4) == ""
