"""Learning-rate schedules, SGD and AdamW, computed by hand."""

import math

import pytest
import torch
from torch import nn

from cliptune.engine.config import TrainConfig
from cliptune.engine.optim import learning_rate, make_optimizer, sgd


@pytest.mark.parametrize("epochs", [1, 2, 5, 10, 50, 200])
@pytest.mark.parametrize("base", [0.002, 0.0035])
def test_one_epoch_of_warm_up_then_a_cosine_that_is_not_rescaled(epochs, base):
    rates = [learning_rate(e, base=base, epochs=epochs) for e in range(epochs)]
    expected = [1e-5] + [base * 0.5 * (1 + math.cos(math.pi * (e - 1) / epochs)) for e in range(1, epochs)]
    assert rates == pytest.approx(expected, rel=1e-12)
    assert rates[-1] > 0


def test_the_last_of_ten_epochs_has_a_tenth_of_the_rate():
    assert learning_rate(9, base=0.002, epochs=10) == pytest.approx(1.9e-4, abs=1e-5)


def test_without_warm_up_the_cosine_starts_immediately():
    assert learning_rate(0, base=0.1, epochs=4, warmup_epochs=0) == 0.1
    assert learning_rate(2, base=0.1, epochs=4, warmup_epochs=0) == pytest.approx(0.05)


def test_linear_warm_up_rises_to_the_base_rate():
    rates = [learning_rate(e, base=0.1, epochs=10, warmup_epochs=4, warmup="linear") for e in range(5)]
    assert rates == pytest.approx([1e-5, 0.025, 0.05, 0.075, 0.1])


def test_two_steps_by_hand():
    start, rates, momentum, decay = [1.0, -2.0], [0.1, 0.05], 0.9, 0.01
    gradients = [[0.5, 0.25], [-1.0, 2.0]]
    parameter = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = sgd([parameter], 1.0, momentum, decay)
    value, velocity = list(start), None
    for rate, gradient in zip(rates, gradients, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        push = [g + decay * v for g, v in zip(gradient, value, strict=True)]
        # No dampening: the first velocity is the gradient itself. No Nesterov: the step is the velocity.
        velocity = push if velocity is None else [momentum * v + p for v, p in zip(velocity, push, strict=True)]
        value = [v - rate * w for v, w in zip(value, velocity, strict=True)]
        assert parameter.tolist() == pytest.approx(value, rel=1e-12)
        assert optimizer.state[parameter]["momentum_buffer"].tolist() == pytest.approx(velocity, rel=1e-12)


def test_default_settings():
    defaults = sgd([nn.Parameter(torch.zeros(1))], 0.1).defaults
    assert (defaults["momentum"], defaults["weight_decay"], defaults["dampening"], defaults["nesterov"]) == (
        0.9,
        5e-4,
        0,
        False,
    )


def test_two_steps_of_adamw_by_hand():
    rate, decay, b1, b2 = 0.1, 0.2, 0.9, 0.999
    parameter = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = make_optimizer([parameter], TrainConfig(optimizer="adamw", lr=rate, weight_decay=decay))
    value, first, second = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0]
    for t, gradient in enumerate([[0.5, 0.25], [-1.0, 2.0]], start=1):
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        first = [b1 * m + (1 - b1) * g for m, g in zip(first, gradient, strict=True)]
        second = [b2 * v + (1 - b2) * g * g for v, g in zip(second, gradient, strict=True)]
        for i in range(2):
            shift = first[i] / (1 - b1**t) / (math.sqrt(second[i] / (1 - b2**t)) + 1e-8)
            value[i] = value[i] * (1 - rate * decay) - rate * shift  # the decay is decoupled from the gradient
        assert parameter.tolist() == pytest.approx(value, rel=1e-12)


def test_the_settings_name_the_optimiser():
    chosen = make_optimizer([nn.Parameter(torch.zeros(1))], TrainConfig(momentum=0.5, weight_decay=0.25))
    assert isinstance(chosen, torch.optim.SGD)
    assert (chosen.defaults["momentum"], chosen.defaults["weight_decay"]) == (0.5, 0.25)
