"""Chunks of texts that pass a tower one after another, and which of them are recomputed in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cliptune.backbones.device_memory import device_memory

#: Tokens that pass a text tower at once.
TOKENS_PER_CHUNK = 4096
#: Share of the device's memory for what the backward pass of a text tower needs of its chunks.
MEMORY_SHARE = 0.25


def run_chunks(
    features: Callable[..., tuple[Tensor, ...]],
    chunks: Sequence[tuple],
    sizes: Sequence[int],
    budget: int,
    *,
    random: bool = False,
) -> tuple[Tensor, ...]:
    """Concatenated results of `features` on each chunk of arguments.

    With gradients, the last chunks whose activations fit into memory together, at least one, keep these for the
    backward pass, which begins with them. Those before are computed again there. Results are the same.

    sizes: Bytes of activations per chunk. budget: Bytes for all of them. random: Whether `features` draws random
    numbers, which the second pass must draw again.
    """
    first = len(chunks) - 1 if torch.is_grad_enabled() else 0
    while first > 0 and sum(sizes[first - 1 :]) <= budget:
        first -= 1
    recomputed = partial(checkpoint, features, use_reentrant=False, preserve_rng_state=random)
    parts = [features(*chunk) if i >= first else recomputed(*chunk) for i, chunk in enumerate(chunks)]
    return parts[0] if len(parts) == 1 else tuple(torch.cat(part) for part in zip(*parts, strict=True))


def activation_budget(device: torch.device) -> int:
    """Bytes of activations that a text tower keeps. The load of the device does not matter, so that a training needs
    the same time whenever it runs."""
    return int(MEMORY_SHARE * device_memory(device))
