"""Prefix tokens in every layer, of searched or fixed lengths (DPL)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn

from cliptune.prompts.initialization import random_tokens
from cliptune.types import KeyValues, Prompts


class SearchedPrompts(nn.Module):
    """For each layer of a tower, tokens of each length 1..K, and a score of each length 0..K.

    The scores (alphas) are learned on other images than the tokens: they receive gradients only within
    `learning_alphas` and change only in `adam_step`. Adam's state is a buffer, so that a resumed run continues exactly.

    Args:
        text, image: Initial tokens `(1, width)`, ..., `(K, width)` for each layer.
        generator: Initialises the scores.
    """

    alphas_text: nn.Parameter
    alphas_image: nn.Parameter
    adam: Tensor

    def __init__(self, text: Sequence[Sequence[Tensor]], image: Sequence[Sequence[Tensor]], generator: Generator):
        super().__init__()
        self.text = nn.ModuleList([nn.ParameterList(options) for options in text])
        self.image = nn.ModuleList([nn.ParameterList(options) for options in image])
        for name, tower in (("alphas_text", text), ("alphas_image", image)):
            scores = torch.randn(len(tower), 1 + max(map(len, tower), default=0), generator=generator) * 1e-3
            self.register_parameter(name, nn.Parameter(scores, requires_grad=False))
        # First moment, second moment and number of steps of each alpha.
        self.register_buffer("adam", torch.zeros(3, sum(alphas.numel() for alphas in self.alphas)))

    @property
    def alphas(self) -> tuple[nn.Parameter, nn.Parameter]:
        """Scores `(layers, K + 1)` of the lengths in the text tower, and in the image tower."""
        return self.alphas_text, self.alphas_image

    @property
    def steps(self) -> int:
        """Number of Adam steps on the alphas."""
        return int(self.adam[2].max()) if self.adam.numel() else 0

    def forward(self) -> Prompts:
        return Prompts(
            text_kv=_mixed(self.text, self.alphas_text),  # type: ignore[arg-type]
            image_kv=_mixed(self.image, self.alphas_image),  # type: ignore[arg-type]
        )

    @contextmanager
    def learning_alphas(self) -> Iterator[None]:
        """Within the block, the alphas receive gradients and the tokens do not."""
        tokens = [*self.text.parameters(), *self.image.parameters()]
        for alphas in self.alphas:
            alphas.requires_grad_(True)
        for own in tokens:
            own.requires_grad_(False)
        try:
            yield
        finally:
            for alphas in self.alphas:
                alphas.requires_grad_(False)
            for own in tokens:
                own.requires_grad_(True)

    @torch.no_grad()
    def adam_step(self, gradients: Sequence[Tensor], lr: float, betas: Sequence[float], eps: float = 1e-8) -> None:
        """One Adam step on the alphas, without weight decay."""
        gradient = torch.cat([g.flatten() for g in gradients])
        first, second, steps = self.adam
        steps += 1
        first.lerp_(gradient, 1 - betas[0])
        second.lerp_(gradient.square(), 1 - betas[1])
        mean, square = first / (1 - betas[0] ** steps), second / (1 - betas[1] ** steps)
        step = lr * mean / (square.sqrt() + eps)
        for alphas, own in zip(self.alphas, step.split([alphas.numel() for alphas in self.alphas]), strict=True):
            alphas -= own.view_as(alphas)


class FixedLengthPrompts(nn.Module):
    """Prefix tokens `(n, width)` per layer with given lengths n, from N(0, 0.02^2); no tokens for length 0."""

    def __init__(
        self,
        lengths_text: Sequence[int],
        lengths_image: Sequence[int],
        text_width: int,
        image_width: int,
        generator: Generator,
    ):
        super().__init__()
        self.text, self.image = (
            nn.ParameterDict({str(i): random_tokens(n, width, generator) for i, n in enumerate(lengths) if n})
            for lengths, width in ((lengths_text, text_width), (lengths_image, image_width))
        )

    def forward(self) -> Prompts:
        return Prompts(text_kv=_single(self.text), image_kv=_single(self.image))


def best_lengths(alphas: Tensor) -> tuple[int, ...]:
    """The length with the highest score in each layer, from scores `(layers, K + 1)`."""
    return tuple(alphas.argmax(-1).tolist())


def _mixed(tower: Sequence[Sequence[Tensor]], alphas: Tensor) -> tuple[KeyValues, ...]:
    return tuple(
        KeyValues((own[0].new_empty(0, own[0].shape[1]), *own), weights)
        for own, weights in zip(tower, alphas.softmax(-1), strict=True)
    )


def _single(tower: nn.ParameterDict) -> tuple[KeyValues | None, ...]:
    layers = 1 + max(map(int, tower), default=-1)
    return tuple(KeyValues((tower[str(i)],)) if str(i) in tower else None for i in range(layers))
