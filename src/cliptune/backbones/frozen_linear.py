"""Frozen linear layers: `F.linear`, or oneDNN on packed weights, chosen by a rule on the processor alone."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.backbones.frozen_tensor import FrozenTensor, compute_dtype
from cliptune.types import LinearBackend

Activation = Callable[[Tensor], Tensor] | None
PACKED_ROWS = 800  # rows of the input for which oneDNN optimises packed weights; any number works
#: Activations that oneDNN applies while it writes the result -> its name and algorithm for them.
FUSED: dict[Any, tuple[str, str]] = {None: ("none", ""), F.silu: ("swish", ""), F.gelu: ("gelu", "none")}


def onednn_dtypes(backend: LinearBackend = "auto") -> frozenset[torch.dtype]:
    """Input types for which frozen linear layers on the CPU use oneDNN; none if this build of PyTorch does not have it.

    "auto": float32 if PyTorch uses MKL on a processor that is not Intel's, where MKL is up to twice as slow as oneDNN;
    bfloat16 if the processor has AMX. "onednn": float32 on any processor as well. "torch": none.
    """
    built = all(hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight"))
    if backend == "torch" or not built or not torch.backends.mkldnn.is_available():
        return frozenset()
    file = Path("/proc/cpuinfo")
    cpu = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else platform.processor()
    float32 = backend == "onednn" or (torch.backends.mkl.is_available() and "GenuineIntel" not in cpu)
    return frozenset([torch.float32] * float32 + [torch.bfloat16] * ("amx_bf16" in cpu))


def backend_in_use(device: torch.device, onednn: frozenset[torch.dtype]) -> str:
    """Backend of frozen linear layers for float32 inputs under the current autocast: "onednn" or "torch"."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    return "onednn" if device.type == "cpu" and dtype in onednn else "torch"


def cpu_computes_in(dtype: torch.dtype) -> bool:
    """Whether PyTorch uses instructions of this processor for layers in a type; without them, low precision is slow."""
    checks = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}
    check = getattr(torch.ops.mkldnn, checks[dtype], None) if dtype in checks else None
    return check is None or check()


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, act: Activation = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, FUSED[act][0], [], FUSED[act][1])


class _PackedLinear(torch.autograd.Function):
    """`x @ W.T + b` without gradients for `W` and `b`: forward and dX are one oneDNN call each."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, transposed: Tensor, bias: Tensor | None) -> Tensor:
        ctx.transposed = transposed  # a constant in an opaque layout; `save_for_backward` need not track it
        return _linear(x, weight, bias)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        return _linear(grads[0].contiguous(), ctx.transposed, None), None, None, None


class FrozenLinear:
    """`act(x @ (scale * weight).T + scale * bias)` with a frozen `weight` `(out, in)`; only `x` receives a gradient.

    Under autocast, a copy of the weight in the lower precision is kept. Inputs of the types `onednn` use oneDNN, with a
    packed copy of the weight and, for dX, of its transpose.

    scale_bias: Whether `scale` applies to the bias as well.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        onednn: frozenset,
        scale: float = 1.0,
        act: Activation = None,
        *,
        scale_bias: bool = True,
    ):
        self.onednn = onednn if weight.device.type == "cpu" and weight.dtype == torch.float32 else frozenset()
        self.act, self.scale = act, scale
        self._weight, self._bias = FrozenTensor(weight), None if bias is None else FrozenTensor(bias)
        self._bias_scale = scale if scale_bias else 1.0
        # Scaled now, as a program that traces the tower (`torch.export`) would record how it is done.
        self._scaled_bias(weight.dtype)
        if weight.dtype not in self.onednn:
            self._scaled_weight(weight.dtype)

    @property
    def weight(self) -> Tensor:
        """The weight `(out, in)` without the scale."""
        return self._weight.tensor

    def _scaled_weight(self, dtype: torch.dtype) -> Tensor:
        return _scaled(self._weight, self.scale, dtype)

    def _scaled_bias(self, dtype: torch.dtype) -> Tensor | None:
        return None if self._bias is None else _scaled(self._bias, self._bias_scale, dtype)

    def _packed(self, dtype: torch.dtype, transposed: bool) -> Tensor:
        def pack(weight: Tensor) -> Tensor:
            weight = ((weight.t() if transposed else weight) * self.scale).to(dtype).contiguous()
            return torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_ROWS)

        return self._weight.derive((dtype, "transposed" if transposed else "packed"), pack)

    def __call__(self, x: Tensor, term: Tensor | None = None) -> Tensor:
        """The layer's output `(..., out)` for `x` `(..., in)`.

        term: Added before the activation, times `scale`.
        """
        dtype = compute_dtype(x)
        if dtype not in self.onednn:
            return self._activated(F.linear(x, self._scaled_weight(dtype), self._scaled_bias(dtype)), term)
        x, bias = x.to(dtype), self._scaled_bias(dtype)
        if torch.is_grad_enabled() and x.requires_grad:
            y = _PackedLinear.apply(x, self._packed(dtype, False), self._packed(dtype, True), bias)
        elif dtype == torch.float32 and self.act in FUSED and term is None:
            return _linear(x, self._packed(dtype, False), bias, self.act)
        else:
            y = _linear(x, self._packed(dtype, False), bias)
        return self._activated(y, term)

    def _activated(self, y: Tensor, term: Tensor | None) -> Tensor:
        y = y if term is None else y + self.scale * term
        return y if self.act is None else self.act(y)


def _scaled(frozen: FrozenTensor, scale: float, dtype: torch.dtype) -> Tensor:
    """The one copy of `scale * frozen` in a type; the tensor itself if nothing changes."""
    return frozen.to(dtype) if scale == 1 else frozen.derive((dtype, scale), lambda own: (own * scale).to(dtype))
