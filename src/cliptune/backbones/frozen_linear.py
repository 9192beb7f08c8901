"""Frozen linear layers: `F.linear`, or oneDNN on packed weights, chosen by a rule on the processor alone."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

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
    Inputs of the types `onednn` use oneDNN, with a packed copy of the weight and, for dX, of its transpose."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, onednn: frozenset, scale: float = 1.0, act: Activation = None
    ):
        self.onednn = onednn if weight.device.type == "cpu" and weight.dtype == torch.float32 else frozenset()
        self.bias, self.act, self.factor = None if bias is None else bias.detach() * scale, act, scale
        # In float32, packing applies the scale, which saves a third copy. Without packing, the weight itself is scaled.
        self.scale = scale if torch.float32 in self.onednn else 1.0
        self.weight = weight.detach() * (scale / self.scale) if scale != self.scale else weight.detach()
        self._packs: dict[tuple[torch.dtype, bool], Tensor] = {}

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_packs": {}}  # packed tensors cannot be copied or pickled

    def _packed(self, dtype: torch.dtype, transposed: bool) -> Tensor:
        if (dtype, transposed) not in self._packs:
            weight = ((self.weight.t() if transposed else self.weight) * self.scale).to(dtype).contiguous()
            self._packs[dtype, transposed] = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_ROWS)
        return self._packs[dtype, transposed]

    def __call__(self, x: Tensor, term: Tensor | None = None) -> Tensor:
        """The layer's output `(..., out)` for `x` `(..., in)`.

        term: Added before the activation, times `scale`.
        """
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if dtype not in self.onednn:
            y = F.linear(x, self.weight if self.scale == 1 else self.weight * self.scale, self.bias)
            return self._activated(y, term)
        x, bias = x.to(dtype), None if self.bias is None else self.bias.to(dtype)
        if torch.is_grad_enabled() and x.requires_grad:
            y = _PackedLinear.apply(x, self._packed(dtype, False), self._packed(dtype, True), bias)
        elif dtype == torch.float32 and self.act in FUSED and term is None:
            return _linear(x, self._packed(dtype, False), bias, self.act)
        else:
            y = _linear(x, self._packed(dtype, False), bias)
        return self._activated(y, term)

    def _activated(self, y: Tensor, term: Tensor | None) -> Tensor:
        y = y if term is None else y + self.factor * term
        return y if self.act is None else self.act(y)
