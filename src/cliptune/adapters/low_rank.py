"""Low-rank terms of linear layers in the towers (LoRA)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Generator, Tensor, nn

from cliptune.types import BlockChange, LowRank, Prompts, TowerChange

#: Shapes `(out, in)` of the changed layers, by block and layer.
Shapes = Mapping[int, Mapping[str, tuple[int, int]]]


class LowRankTerm(nn.Module):
    """The matrices of one term: `down` `(rank, in)` from U(-1/sqrt(in), 1/sqrt(in)), `up` `(out, rank)` zero."""

    def __init__(self, outputs: int, inputs: int, rank: int, generator: Generator):
        super().__init__()
        bound = inputs**-0.5
        self.down = nn.Parameter(torch.empty(rank, inputs).uniform_(-bound, bound, generator=generator))
        self.up = nn.Parameter(torch.zeros(outputs, rank))


class LowRankTerms(nn.Module):
    """A learner that adds `scale * up down dropout(x)` to linear layers, which computes nothing more once merged.

    Args:
        text, image: The changed layers of each tower; empty for none.
        rank: Rank of all terms.
        scale: Their factor.
        dropout: Probability of dropping an entry of a term's input in training.

    Attributes:
        step: Step of the training. With the seed, the layer and the chunk of texts it determines what dropout drops, so
            that a resumed run, and a second computation in the backward pass, drop the same.
    """

    def __init__(self, text: Shapes, image: Shapes, rank: int, scale: float, dropout: float, generator: Generator):
        super().__init__()
        self.scale, self.dropout, self.step = scale, dropout, 0
        self.text, self.image = (
            nn.ModuleDict(
                {
                    str(block): nn.ModuleDict(
                        {name: LowRankTerm(*shape, rank, generator) for name, shape in own.items()}
                    )
                    for block, own in shapes.items()
                }
            )
            for shapes in (text, image)
        )
        self.seed = int(torch.randint(2**31, (), generator=generator))

    def forward(self) -> Prompts:
        text, image = self._change("text"), self._change("image")
        dropped = self.training and self.dropout > 0 and text is not None
        return Prompts(text_change=text, image_change=image, share_prefix=not dropped)

    def terms(self, tower: str) -> dict[tuple[int, str], LowRankTerm]:
        """The terms of the tower "text" or "image" by block and layer."""
        return {(int(i), name): term for i, own in getattr(self, tower).items() for name, term in own.items()}

    def input_dropout(self, tower: str, block: int, layer: str, start: int = 0) -> Callable[[Tensor], Tensor] | None:
        """What is applied to the input of a term in training, or None. start: Index of the first text of a chunk."""
        if not self.training or not self.dropout:
            return None
        key = f"{self.seed} {self.step} {tower} {block} {layer}" + (f" {start}" if start else "")
        return partial(seeded_dropout, rate=self.dropout, key=key)

    def _change(self, tower: str, start: int = 0) -> TowerChange | None:
        blocks: dict[int, dict[str, LowRank]] = {}
        for (block, layer), term in self.terms(tower).items():
            dropout = self.input_dropout(tower, block, layer, start)
            blocks.setdefault(block, {})[layer] = LowRank(term.down, term.up, self.scale, dropout)
        if not blocks:
            return None
        changes = tuple(BlockChange(blocks[i]) if i in blocks else None for i in range(max(blocks) + 1))
        dropped = self.training and self.dropout > 0
        return TowerChange(changes, chunk=partial(self._change, tower) if dropped and not start else None)


def seeded_dropout(x: Tensor, rate: float, key: str) -> Tensor:
    """Dropout of `x` with a mask that depends on `key` and the shape alone."""
    seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest())
    generator = Generator(x.device).manual_seed(seed)
    keep = torch.rand(x.shape, generator=generator, device=x.device) >= rate
    return x * keep / (1 - rate)
