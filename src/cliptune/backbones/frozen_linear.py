"""A linear layer whose weights never train, through oneDNN where that is faster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.backbones.remembered import remembered

#: Environment variable: "auto" takes what was faster when first measured on this machine; "on" and "off" decide.
SWITCH = "CLIPTUNE_ONEDNN"
#: Rows for which oneDNN lays weights out; the layout then serves any number of rows.
ROWS = 800


#: Activations that oneDNN applies while it writes a result, by its names for them.
FUSED: dict[Callable[[Tensor], Tensor] | None, tuple[str, str]] = {
    None: ("none", ""),
    F.silu: ("swish", ""),
    F.gelu: ("gelu", "none"),
}


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, act: tuple[str, str] = ("none", "")) -> Tensor:
    # The operation is private to PyTorch, so `available` looks for it and every caller can do without.
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, act[0], [], act[1])


def _packed(weight: Tensor) -> Tensor:
    """`weight` `(out, in)` in the blocked layout that oneDNN would otherwise compute on every call."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS)


class _Frozen(torch.autograd.Function):
    """`x @ W.T + b` with no gradient for `W` and `b`: forward and dX are one oneDNN call each."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, transposed: Tensor, bias: Tensor | None) -> Tensor:
        ctx.transposed = transposed  # a constant in an opaque layout: nothing for autograd to watch
        return _onednn(x, weight, bias)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        return _onednn(grads[0].contiguous(), ctx.transposed, None), None, None, None


def available(weight: Tensor) -> bool:
    """Whether this build has the operations and `weight` is of a kind they take (float32 on the CPU)."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return False
    return hasattr(torch.ops.mkldnn, "_linear_pointwise") and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")


def faster(weight: Tensor, tokens: int = ROWS) -> bool:
    """Whether linears as large as `weight` `(out, in)` go through oneDNN: as the environment says, else as measured."""
    if not available(weight):
        return False
    choice = os.environ.get(SWITCH, "auto")
    if choice in ("on", "off"):
        return choice == "on"
    return remembered(f"oneDNN linear {' x '.join(map(str, weight.shape))}", lambda: measured(weight, tokens))


def measured(weight: Tensor, tokens: int) -> bool:
    """Time forward and dX of both routes on `weight` `(out, in)`, alternating: does oneDNN win by a twentieth?"""
    x, g = torch.ones(tokens, weight.shape[1]), torch.ones(tokens, weight.shape[0])
    with torch.no_grad():
        ahead, back = _packed(weight), _packed(weight.t())
        routes = (lambda: (F.linear(x, weight), g @ weight), lambda: (_onednn(x, ahead, None), _onednn(g, back, None)))
        best = [float("inf"), float("inf")]
        for _ in range(6):
            for i, route in enumerate(routes):
                start = time.perf_counter()
                route()
                best[i] = min(best[i], time.perf_counter() - start)
    return best[1] < 0.95 * best[0]


class FrozenLinear:
    """`scale * weight` `(out, in)` and `scale * bias` `(out,)` on the last axis, then `act`; only inputs get gradients.

    fast: go through oneDNN (see `faster`). A copy of the weight in oneDNN's layout is made at the first call, and
    another of its transpose, for dX, at the first call that needs a gradient.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        fast: bool,
        scale: float = 1.0,
        act: Callable[[Tensor], Tensor] | None = None,
    ):
        self.act = act
        self.fast = fast and available(weight)
        self.bias = None if bias is None else bias.detach() * scale
        # Scaled here where it is used as it is; the fast route scales its packed copies instead and keeps no third one.
        self.weight, self.scale = (
            (weight.detach(), scale) if self.fast or scale == 1 else (weight.detach() * scale, 1.0)
        )
        self._ahead: Tensor | None = None
        self._back: Tensor | None = None

    def __getstate__(self) -> dict:
        """Without the packed copies, which can be neither copied nor pickled and are recomputed."""
        return self.__dict__ | {"_ahead": None, "_back": None}

    def _scaled(self) -> Tensor:
        return self.weight if self.scale == 1 else self.weight * self.scale

    def __call__(self, x: Tensor) -> Tensor:
        if not self.fast or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return self._activated(F.linear(x, self._scaled(), self.bias))
        if self._ahead is None:
            self._ahead = _packed(self._scaled())
        if not (torch.is_grad_enabled() and x.requires_grad):
            if self.act in FUSED:
                return _onednn(x, self._ahead, self.bias, FUSED[self.act])
            return self._activated(_onednn(x, self._ahead, self.bias))
        if self._back is None:
            self._back = _packed(self._scaled().t())
        return self._activated(_Frozen.apply(x, self._ahead, self._back, self.bias))

    def _activated(self, y: Tensor) -> Tensor:
        return y if self.act is None else self.act(y)
