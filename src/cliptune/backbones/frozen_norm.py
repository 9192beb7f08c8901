"""Frozen LayerNorms, and scales of residual branches, in the type of their input."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import LayerScale
from torch import Tensor, nn

from cliptune.backbones.frozen_tensor import FrozenTensor, autocasts


class FrozenNorm:
    """Applies a LayerNorm, or another module such as an identity, in the type of the input.

    PyTorch computes the statistics in float32 for any type.
    """

    def __init__(self, norm: Any):
        self.norm = norm
        self._own = [FrozenTensor(norm.weight), FrozenTensor(norm.bias)] if isinstance(norm, nn.LayerNorm) else []

    def __call__(self, x: Tensor, change: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """change: Weight and bias to use instead of those of the norm."""
        if not self._own:
            return self.norm(x)
        weight, bias = (tensor.to(x.dtype) for tensor in change or self._own)
        if not autocasts(x):
            return F.layer_norm(x, self.norm.normalized_shape, weight, bias, self.norm.eps)
        # On a GPU, autocast would convert all arguments to float32, and the next layer would convert the result back.
        with torch.autocast(x.device.type, enabled=False):
            return F.layer_norm(x, self.norm.normalized_shape, weight, bias, self.norm.eps)


class FrozenScale:
    """Applies a LayerScale, or nothing, in the type of the input."""

    def __init__(self, module: nn.Module):
        self._gamma = FrozenTensor(module.gamma) if isinstance(module, LayerScale) else None

    def __call__(self, x: Tensor) -> Tensor:
        return x if self._gamma is None else x * self._gamma.to(x.dtype)
