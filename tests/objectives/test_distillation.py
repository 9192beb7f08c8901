"""Distillation losses against the papers' sums."""

import math

import pytest
import torch

from cliptune.objectives.distillation import mean_kl, soft_cross_entropy
from tiny_clips import learned, normal


def softmax(row, temperature=1.0):
    exponentials = [math.exp(x / temperature) for x in row.tolist()]
    return [e / sum(exponentials) for e in exponentials]


def test_kl_of_teacher_and_student_averages_over_all_entries():
    logits, teacher = normal(3, 5, seed=1, std=3), normal(3, 5, seed=2, std=3)
    total = 0.0
    for student, teacher_probabilities in zip(logits, teacher, strict=True):
        p, q = softmax(teacher_probabilities), softmax(student)
        total += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
    assert mean_kl(logits, teacher).item() == pytest.approx(total / 15, rel=1e-5)


def test_kl_is_zero_where_both_agree_and_keeps_sharp_logits_finite():
    logits = normal(3, 5)
    assert mean_kl(logits, logits + 7).item() == pytest.approx(0, abs=1e-6)
    sharp = (1e3 * normal(3, 5)).requires_grad_()
    mean_kl(sharp, -sharp.detach()).backward()
    assert sharp.grad is not None and sharp.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [1.0, 0.5, 4.0])
def test_soft_cross_entropy_uses_the_temperature_for_both(temperature):
    logits, teacher = normal(3, 5, seed=1, std=3), normal(3, 5, seed=2, std=3)
    total = 0.0
    for student, teacher_probabilities in zip(logits, teacher, strict=True):
        p, q = softmax(teacher_probabilities, temperature), softmax(student, temperature)
        total -= sum(a * math.log(b) for a, b in zip(p, q, strict=True))
    got = soft_cross_entropy(logits, teacher, temperature).item()
    assert got == pytest.approx(temperature**2 * total / 3, rel=1e-5)


@pytest.mark.parametrize("loss", [mean_kl, soft_cross_entropy])
def test_the_student_moves_towards_the_teacher(loss):
    logits, teacher = learned(4, 6, seed=1), normal(4, 6, seed=2)
    loss(logits, teacher).backward()
    # Of softmax and cross-entropy: the gradient is the difference of the distributions, up to a factor.
    expected = logits.detach().softmax(-1) - teacher.softmax(-1)
    torch.testing.assert_close(logits.grad / logits.grad.norm(), expected / expected.norm(), rtol=0, atol=1e-5)
