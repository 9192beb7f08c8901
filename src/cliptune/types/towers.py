"""Linear layers of the frozen towers, and changes of their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

#: What computes frozen linear layers: PyTorch's default, oneDNN on packed weights, or a choice by the processor.
LinearBackend = Literal["auto", "torch", "onednn"]
#: Linear layers of a transformer block: of its attention, and of its MLP.
LinearLayer = Literal["q", "k", "v", "o", "fc", "proj"]


@dataclass(frozen=True)
class LowRank:
    """A low-rank term of a linear layer: `x W.T + scale * dropout(x) down.T up.T` (LoRA).

    down: `(r, in)`. up: `(out, r)`. dropout: Applied to the input of the term in training, or None.
    """

    down: Tensor
    up: Tensor
    scale: float = 1.0
    dropout: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class BlockChange:
    """Changes of one transformer block.

    linear: Low-rank terms by the name of the layer: "q", "k", "v", "o" of the attention, "fc" and "proj" of the MLP.
    norm: Weight and bias `(width,)` that replace those of a LayerNorm, by its name: "ln_1" or "ln_2".
    branch: Maps the block's input `(..., width)` to a term that is added to its output, or None.
    """

    linear: Mapping[str, LowRank] = field(default_factory=dict)
    norm: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    branch: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class TowerChange:
    """Changes of a tower's weights.

    blocks: For blocks 0, 1, ...: the change, or None. norm: Weight and bias that replace those of a LayerNorm outside
    of the blocks, by its name: "ln_pre" or "ln_post" of the image tower, "ln_final" of the text tower. chunk: Returns
    the change for a chunk of texts, from the index of its first text, where it differs from that of the first: dropout
    with other masks, which are the same again when the chunk is recomputed.
    """

    blocks: tuple[BlockChange | None, ...] = ()
    norm: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    chunk: Callable[[int], TowerChange | None] | None = None
