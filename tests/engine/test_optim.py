"""Learning-rate schedules, factors of parameter groups, SGD, Adam and AdamW, computed by hand."""

import copy
import math

import pytest
import torch
from torch import nn

from cliptune.engine.config import TrainConfig
from cliptune.engine.optim import Schedule, learning_rate, make_optimizer, parameter_groups, sgd
from cliptune.errors import UserError


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


@pytest.mark.parametrize("eps", [1e-8, 1e-3])
@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_two_steps_of_adam_by_hand(kind, eps):
    rate, decay, b1, b2 = 0.1, 0.2, 0.9, 0.999
    parameter = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = make_optimizer([parameter], TrainConfig(optimizer=kind, lr=rate, weight_decay=decay, eps=eps))
    value, first, second = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0]
    for t, gradient in enumerate([[0.5, 0.25], [-1.0, 2.0]], start=1):
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        if kind == "adam":  # the decay is added to the gradient
            gradient = [g + decay * v for g, v in zip(gradient, value, strict=True)]
        first = [b1 * m + (1 - b1) * g for m, g in zip(first, gradient, strict=True)]
        second = [b2 * v + (1 - b2) * g * g for v, g in zip(second, gradient, strict=True)]
        for i in range(2):
            shift = first[i] / (1 - b1**t) / (math.sqrt(second[i] / (1 - b2**t)) + eps)
            value[i] = value[i] * (1 - rate * decay * (kind == "adamw")) - rate * shift
        assert parameter.tolist() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_fused_steps_are_the_same_up_to_rounding_and_continue_from_the_same_state(kind):
    training, generator = TrainConfig(optimizer=kind, lr=0.1, weight_decay=0.2), torch.Generator().manual_seed(0)
    start, gradients = torch.randn(7, generator=generator), torch.randn(4, 7, generator=generator)
    parameters = [nn.Parameter(start.clone()) for _ in range(3)]
    plain, fused, later = (
        make_optimizer([p], training, f) for p, f in zip(parameters, (None, True, True), strict=True)
    )
    assert not plain.defaults["fused"] and fused.defaults["fused"]
    for i, gradient in enumerate(gradients):
        for parameter in parameters:
            parameter.grad = gradient.clone()
        plain.step(), fused.step()
        if i == 1:  # the state of a run on the CPU, which continues on a GPU
            parameters[2].data.copy_(parameters[0].data)
            later.load_state_dict({**later.state_dict(), "state": copy.deepcopy(plain.state_dict()["state"])})
        elif i > 1:
            later.step()
    for parameter in parameters[1:]:
        torch.testing.assert_close(parameter, parameters[0], rtol=1e-6, atol=1e-6)


def test_the_settings_name_the_optimiser():
    chosen = make_optimizer([nn.Parameter(torch.zeros(1))], TrainConfig(momentum=0.5, weight_decay=0.25))
    assert isinstance(chosen, torch.optim.SGD)
    assert (chosen.defaults["momentum"], chosen.defaults["weight_decay"]) == (0.5, 0.25)


def test_the_cosine_per_step_ends_at_the_least_rate():
    training = TrainConfig(lr=2e-4, min_lr=1e-6, schedule="step", warmup_epochs=0)
    schedule = Schedule(training, epochs=3, steps=4, total=10)
    rates = [schedule.rate(step // 4, step % 4) for step in range(10)]
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer := torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2e-4), T_max=10, eta_min=1e-6
    )
    for rate in rates:
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        cosine.step()


def test_the_cosine_per_step_starts_after_the_warm_up():
    schedule = Schedule(TrainConfig(lr=0.1, schedule="step", warmup_epochs=1), epochs=2, steps=4, total=8)
    assert [schedule.rate(0, step) for step in range(4)] == [1e-5] * 4
    assert schedule.rate(1, 0) == 0.1 and schedule.rate(1, 2) == pytest.approx(0.05 * (1 + math.cos(math.pi / 4)))


def test_the_schedule_per_epoch_is_constant_within_an_epoch():
    schedule = Schedule(TrainConfig(lr=0.1, min_lr=0.02, warmup_epochs=0), epochs=2, steps=4, total=8)
    assert [schedule.rate(1, step) for step in range(4)] == pytest.approx([0.06] * 4)


def test_factors_of_the_rate_apply_after_the_warm_up():
    learner = nn.ModuleDict({"base": nn.Linear(2, 2), "extra": nn.Linear(2, 2)})
    learner["base"].bias.requires_grad_(False)
    training = TrainConfig(lr=0.1, warmup_epochs=1)
    optimizer = make_optimizer(parameter_groups(learner, {"extra": 6.5, "extra.bias": 2.0}), training)
    schedule = Schedule(training, epochs=2, steps=1, total=2)

    def rates():
        return [(group["lr"], [id(p) for p in group["params"]]) for group in optimizer.param_groups]

    names = [[id(p)] for p in (learner["base"].weight, learner["extra"].weight, learner["extra"].bias)]
    assert schedule.apply(optimizer, 0) == 1e-5
    assert rates() == list(zip([1e-5] * 3, names, strict=True))
    assert schedule.apply(optimizer, 1) == 0.1
    assert rates() == list(zip([0.1, 0.65, 0.2], names, strict=True))


def test_a_factor_for_no_parameter_is_refused():
    with pytest.raises(UserError, match="no trainable parameter starts with 'wieght'; there are weight, bias"):
        parameter_groups(nn.Linear(2, 2), {"wieght": 2.0})
