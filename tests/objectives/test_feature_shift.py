"""Shifts of both towers: norms of prompts, changes of tokens, and their disagreement."""

import pytest
import torch

from cliptune.objectives.feature_shift import gram_norms, relative_shifts, shift_inconsistency
from tiny_clips import learned, normal


def test_the_small_gram_matrix_has_the_large_ones_norm_and_gradient():
    prompts = [learned(m, width, seed=m) for m, width in ((1, 6), (2, 40), (4, 3))]
    got, expected = gram_norms(prompts), torch.stack([(p.T @ p).square().sum().sqrt() for p in prompts])
    torch.testing.assert_close(got, expected)
    weights = torch.tensor([1.0, -2.0, 0.5])
    for one, other in zip(
        torch.autograd.grad(got @ weights, prompts), torch.autograd.grad(expected @ weights, prompts), strict=True
    ):
        torch.testing.assert_close(one, other)
    assert gram_norms([]).shape == (0,)


def test_a_shift_is_the_mean_relative_length_of_the_change():
    plain = [torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])]
    prompted = [torch.tensor([[3.0, 9.0], [0.0, 2.0]]), torch.tensor([[-1.0, 0.0], [3.0, 1.0]])]
    assert relative_shifts(prompted, plain).tolist() == pytest.approx([(5 / 5 + 0) / 2, (2 / 1 + 3 / 1) / 2])


def test_shifts_do_not_depend_on_scale_and_are_float32():
    plain, prompted = [normal(5, 8)], [normal(5, 8, seed=1)]
    got = relative_shifts(prompted, plain)
    torch.testing.assert_close(got, relative_shifts([7 * prompted[0]], [7 * plain[0]]))
    low = relative_shifts([prompted[0].bfloat16()], [plain[0].bfloat16()])
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, got, rtol=1e-2, atol=0)


def test_equal_tokens_have_zero_shift_and_a_finite_gradient():
    plain = normal(3, 8)
    prompted = plain.clone().requires_grad_()
    shift = relative_shifts([prompted], [plain])
    shift.sum().backward()
    assert shift.tolist() == [0] and prompted.grad is not None and prompted.grad.isfinite().all()


def test_equal_shifts_are_consistent():
    text, image = learned(4, seed=1), learned(4, seed=2)
    loss = shift_inconsistency(text, image)
    assert loss.item() == pytest.approx(sum((t - v) ** 2 for t, v in zip(text.tolist(), image.tolist(), strict=True)))
    assert shift_inconsistency(text, text.detach()) == 0
    (gradient,) = torch.autograd.grad(loss, text)
    torch.testing.assert_close(gradient, 2 * (text - image).detach())
