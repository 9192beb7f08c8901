"""Copies of frozen tensors are made once, follow changes in place, and can be used in training."""

import copy

import pytest
import torch
from open_clip.transformer import LayerScale
from torch import nn

from cliptune.backbones.frozen_norm import FrozenNorm, FrozenScale
from cliptune.backbones.frozen_tensor import FrozenTensor, compute_dtype
from tiny_clips import learned, normal


def test_a_copy_is_made_once_per_type():
    frozen = FrozenTensor(normal(3, 4))
    assert frozen.to(torch.float32).data_ptr() == frozen.tensor.data_ptr()
    low = frozen.to(torch.bfloat16)
    assert torch.equal(low, normal(3, 4).bfloat16()) and frozen.to(torch.bfloat16) is low
    assert frozen.to(torch.float16).dtype == torch.float16 and frozen.to(torch.bfloat16) is low


@pytest.mark.parametrize("view", [lambda w: w, lambda w: w[1:]])
def test_a_change_in_place_is_followed(view):
    weight = nn.Parameter(normal(3, 4), requires_grad=False)
    frozen = FrozenTensor(view(weight))
    assert torch.equal(frozen.to(torch.bfloat16), view(normal(3, 4)).bfloat16())
    weight.copy_(normal(3, 4, seed=1))
    assert torch.equal(frozen.to(torch.bfloat16), view(normal(3, 4, seed=1)).bfloat16())


def test_a_copied_tensor_follows_its_own_changes():
    frozen = FrozenTensor(normal(3))
    frozen.tensor.add_(1)
    frozen.to(torch.bfloat16)
    other = copy.deepcopy(frozen)
    assert torch.equal(other.to(torch.bfloat16), frozen.to(torch.bfloat16))
    other.tensor.zero_()
    assert not other.to(torch.bfloat16).any() and frozen.to(torch.bfloat16).any()


def test_a_copy_that_was_made_in_inference_mode_can_be_trained_with():
    frozen, x = FrozenTensor(normal(3)), learned(3)
    with torch.inference_mode():
        frozen.to(torch.bfloat16)
    (gradient,) = torch.autograd.grad((frozen.to(torch.bfloat16) * x).sum(), x)
    assert torch.equal(gradient, normal(3).bfloat16().float())
    with torch.inference_mode():
        assert FrozenTensor(normal(3)).to(torch.bfloat16).dtype == torch.bfloat16


def test_the_type_of_a_computation():
    x = normal(2)
    assert compute_dtype(x) == torch.float32 and compute_dtype(x.half()) == torch.float16
    with torch.autocast("cpu", torch.bfloat16):
        assert compute_dtype(x) == torch.bfloat16 and compute_dtype(x.double()) == torch.float64
        assert compute_dtype(x.bfloat16()) == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_norms_and_scales_keep_the_type_of_their_input(dtype):
    norm, scale, x = nn.LayerNorm(8, eps=1e-3).requires_grad_(False), LayerScale(8, 0.3), learned(3, 8)
    norm.weight.copy_(normal(8))
    norm.bias.copy_(normal(8, seed=1))
    expected = scale(norm(x))
    with torch.autocast("cpu", dtype):
        got = FrozenScale(scale)(FrozenNorm(norm)(x.to(dtype)))
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), expected, rtol=2e-2, atol=2e-2)
    (ours,), (reference,) = (torch.autograd.grad(y.float().square().sum(), x) for y in (got, expected))
    torch.testing.assert_close(ours, reference, rtol=5e-2, atol=2e-2)
    assert torch.equal(FrozenScale(scale)(x), scale(x)) and FrozenScale(nn.Identity())(x) is x
