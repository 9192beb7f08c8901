"""Length search: tokens of every length, their scores, Adam, and alternating updates."""

import pytest
import torch
from torch import Generator

from cliptune.prompts.length_search import FixedLengthPrompts, SearchedPrompts, best_lengths
from tiny_clips import normal


def searched(longest_text: int = 2, longest_image: int = 3, layers: int = 2) -> SearchedPrompts:
    def tower(longest: int, width: int) -> list[list[torch.Tensor]]:
        return [[normal(n, width, seed=n) for n in range(1, longest + 1)] for _ in range(layers)] if longest else []

    return SearchedPrompts(tower(longest_text, 8), tower(longest_image, 6), Generator().manual_seed(1))


def test_every_length_from_none_to_the_longest():
    learner = searched()
    prompts = learner()
    assert len(prompts.text_kv) == len(prompts.image_kv) == 2
    for layers, alphas, width in zip((prompts.text_kv, prompts.image_kv), learner.alphas, (8, 6), strict=True):
        for layer, own in zip(layers, alphas, strict=True):
            assert [tuple(tokens.shape) for tokens in layer.options] == [(n, width) for n in range(len(own))]
            torch.testing.assert_close(layer.weights, own.softmax(0))
    assert all(0 < alphas.std() < 0.01 for alphas in learner.alphas)
    assert not prompts.fixed_text and not prompts.fixed_image


@pytest.mark.parametrize("lengths", [(2, 0), (0, 3)])
def test_one_tower_only(lengths):
    learner = searched(*lengths)
    assert (learner().fixed_text, learner().fixed_image) == (lengths[0] == 0, lengths[1] == 0)
    found = tuple(map(best_lengths, learner.alphas))
    assert [len(lengths) for lengths in found] == [2 * (n > 0) for n in lengths]


def test_gradients_alternate_between_scores_and_tokens():
    learner = searched()
    alphas = {"alphas_text", "alphas_image"}

    def trained() -> set[str]:
        return {name for name, parameter in learner.named_parameters() if parameter.requires_grad}

    tokens = {name for name, _ in learner.named_parameters()} - alphas
    assert trained() == tokens
    with pytest.raises(ZeroDivisionError), learner.learning_alphas():
        assert trained() == alphas
        raise ZeroDivisionError
    assert trained() == tokens


def test_adam_equals_pytorchs():
    learner, lr, betas = searched(), 0.0035, (0.5, 0.999)
    twins = [alphas.detach().clone().requires_grad_() for alphas in learner.alphas]
    adam = torch.optim.Adam(twins, lr=lr, betas=betas)
    for step in range(5):
        gradients = [normal(*twin.shape, seed=step) * 10**-step for twin in twins]
        for twin, gradient in zip(twins, gradients, strict=True):
            twin.grad = gradient
        adam.step()
        learner.adam_step(gradients, lr, betas)
        assert learner.steps == step + 1
        for alphas, twin in zip(learner.alphas, twins, strict=True):
            torch.testing.assert_close(alphas.detach(), twin.detach(), rtol=1e-5, atol=1e-8)


def test_adam_resumes_from_a_saved_state():
    learner, again = searched(), searched()
    gradients = [[normal(*a.shape, seed=s) for a in learner.alphas] for s in range(4)]
    for step, own in enumerate(gradients):
        learner.adam_step(own, 0.01, (0.5, 0.999))
        if step == 1:
            again.load_state_dict({name: tensor.clone() for name, tensor in learner.state_dict().items()})
        elif step > 1:
            again.adam_step(own, 0.01, (0.5, 0.999))
    assert all(torch.equal(one, other) for one, other in zip(learner.alphas, again.alphas, strict=True))


def test_the_most_likely_length_has_the_highest_score():
    assert best_lengths(torch.tensor([[0.1, 0.3, 0.2], [5.0, 1.0, 1.0], [0.0, 1.0, 9.0]])) == (1, 0, 2)


def test_given_lengths():
    learner = FixedLengthPrompts((1, 0, 3), (0, 2), 200, 300, Generator().manual_seed(1))
    prompts = learner()
    assert [layer and tuple(layer.options[0].shape) for layer in prompts.text_kv] == [(1, 200), None, (3, 200)]
    assert [layer and tuple(layer.options[0].shape) for layer in prompts.image_kv] == [None, (2, 300)]
    assert all(layer is None or layer.weights is None for layer in (*prompts.text_kv, *prompts.image_kv))
    assert torch.cat([p.flatten() for p in learner.parameters()]).std().item() == pytest.approx(0.02, rel=0.1)


def test_no_tokens_at_all():
    learner = FixedLengthPrompts((0, 0), (), 8, 0, Generator())
    assert learner().fixed_text and learner().fixed_image and not list(learner.parameters())
