"""Averages over epochs against the paper's sums."""

import math

import pytest
import torch

from cliptune.prompts.averaging import average_states, gaussian_weights
from tiny_clips import normal


@pytest.mark.parametrize("epochs, mean, std", [(20, 15, 1), (20, 6, 10), (50, 30, 30), (1, 15, 1), (4, 2.5, 0.7)])
def test_weights_are_a_gaussian_of_the_epochs_number_from_one(epochs, mean, std):
    density = [math.exp(-(((e - mean) / std) ** 2) / 2) for e in range(1, epochs + 1)]
    weights = gaussian_weights(epochs, mean, std)
    assert weights.tolist() == pytest.approx([d / sum(density) for d in density], rel=1e-12)
    assert weights.dtype == torch.float64 and weights.sum().item() == pytest.approx(1, abs=1e-12)


def test_a_mean_far_beyond_training_selects_the_last_epoch():
    assert gaussian_weights(3, 500.0, 1.0).tolist() == pytest.approx([0, 0, 1])


def test_every_tensor_is_averaged():
    states = [{"a": normal(2, 3, seed=e), "b": normal(4, seed=9 + e)} for e in range(3)]
    before = [{name: tensor.clone() for name, tensor in state.items()} for state in states]
    got = average_states(states, torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    for name in ("a", "b"):
        expected = 0.5 * states[0][name] + 0.3 * states[1][name] + 0.2 * states[2][name]
        torch.testing.assert_close(got[name], expected)
        assert got[name].dtype == torch.float32
        assert all(torch.equal(state[name], tensors[name]) for state, tensors in zip(states, before, strict=True))
