"""Transformer blocks with changed weights: low-rank terms beside the frozen layers, or merged into them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor

from cliptune.backbones.blocks import FrozenBlock
from cliptune.backbones.frozen_linear import FrozenLinear
from cliptune.errors import UserError
from cliptune.types import BlockChange, LinearLayer, LowRank, TowerChange

#: Linear layers that low-rank terms may change.
LAYERS = get_args(LinearLayer)


@dataclass(frozen=True)
class MergedChange(BlockChange):
    """A change and the block that results from it, with low-rank terms merged into its weights."""

    block: FrozenBlock | None = None


def layer_shape(block: FrozenBlock, layer: LinearLayer) -> tuple[int, int]:
    """Shape `(out, in)` of the weight of a linear layer."""
    attn, mlp = block.block.attn, block.block.mlp
    inside = {"fc": mlp.c_fc, "proj": mlp.c_proj}
    return tuple(inside[layer].weight.shape) if layer in inside else (attn.embed_dim, attn.embed_dim)


def changed_blocks(blocks: Sequence[FrozenBlock], change: TowerChange | None) -> list[FrozenBlock]:
    """The blocks of a tower with its change.

    Raises `UserError` if there are more changes than blocks, or a change names an unknown layer.
    """
    changes = () if change is None else change.blocks
    if len(changes) > len(blocks):
        raise UserError(f"the learner changes {len(changes)} blocks, but the tower has {len(blocks)}; use fewer")
    changed = [block if own is None else _changed(block, own) for block, own in zip(blocks, changes, strict=False)]
    return [*changed, *blocks[len(changes) :]]


@torch.no_grad()
def merged(blocks: Sequence[FrozenBlock], change: TowerChange | None) -> TowerChange | None:
    """The change with its low-rank terms merged into the weights, so that passes cost no more than without them."""
    if change is None or not any(own and own.linear for own in change.blocks):
        return change
    pairs = zip(blocks, change.blocks, strict=False)
    own = [b if b is None or not b.linear else MergedChange({}, b.norm, b.branch, _merged(a, b)) for a, b in pairs]
    return replace(change, blocks=tuple(own), chunk=None)


def _changed(block: FrozenBlock, change: BlockChange) -> FrozenBlock:
    if isinstance(change, MergedChange) and change.block is not None:
        return change.block
    terms = change.linear
    unknown = sorted(set(terms) - set(LAYERS))
    if unknown:
        raise UserError(f"a transformer block has no linear layer {unknown[0]!r}; choose from {', '.join(LAYERS)}")
    new = copy.copy(block)
    new.change = change
    for layer, names in {"qkv": "qkv", "q": "q", "kv": "kv", "out": "o"}.items():
        own = [terms.get(name) for name in names]
        if any(own):
            setattr(new, layer, LinearWithTerms(getattr(block, layer), own))
    for layer in ("fc", "proj"):
        if layer in terms:
            setattr(new, layer, LinearWithTerms(getattr(block, layer), [terms[layer]]))
    return new


def _merged(block: FrozenBlock, change: BlockChange) -> FrozenBlock:
    attn, mlp = block.block.attn, block.block.mlp
    new = copy.copy(block)
    new.change = replace(change, linear={})

    def weight(frozen: Tensor, *names: str) -> Tensor:
        return merged_weight(frozen, [change.linear.get(name) for name in names])

    new.set_weights(
        weight(attn.in_proj_weight, *"qkv"),
        weight(attn.out_proj.weight, "o"),
        weight(mlp.c_fc.weight, "fc"),
        weight(mlp.c_proj.weight, "proj"),
        block.onednn,
    )
    for layer, name in {"out": "o", "fc": "fc", "proj": "proj"}.items():
        if name not in change.linear:  # keeps packed copies of weights that stay as they are
            setattr(new, layer, getattr(block, layer))
    return new


def merged_weight(weight: Tensor, terms: Sequence[LowRank | None]) -> Tensor:
    """`weight` `(out, in)` with low-rank terms of equal slices of its rows added; None stands for no term."""
    slices = zip(weight.chunk(len(terms)), terms, strict=True)
    return torch.cat([w if t is None else w + t.scale * (t.up @ t.down).to(w.dtype) for w, t in slices])


class LinearWithTerms:
    """A frozen linear layer plus low-rank terms of equal slices of its output; None stands for no term."""

    def __init__(self, frozen: FrozenLinear, terms: Sequence[LowRank | None]):
        self.frozen, self.terms = frozen, terms

    def __call__(self, x: Tensor) -> Tensor:
        width = self.frozen.weight.shape[0] // len(self.terms)
        parts = [x.new_zeros(*x.shape[:-1], width) if term is None else low_rank(x, term) for term in self.terms]
        return self.frozen(x, parts[0] if len(parts) == 1 else torch.cat(parts, -1))


def low_rank(x: Tensor, term: LowRank) -> Tensor:
    """`scale * dropout(x) down.T up.T`, `(..., out)`."""
    x = x if term.dropout is None else term.dropout(x)
    return term.scale * (x @ term.down.to(x.dtype).T @ term.up.to(x.dtype).T)
