"""A symmetric matrix that would be too large in single precision, held rounded to 16 bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cliptune.coresets.common.room import LIMIT

#: Numbers computed together.
ENTRIES = 16_000_000
#: The numbers that 16 bits tell apart, less one.
STEPS = 2**16 - 1


@dataclass(frozen=True)
class Rounded:
    """Numbers from 0 to `top`, each off by at most top / 131070: `held` `(m, m)` are 16-bit, -32768 for 0."""

    held: Tensor
    top: float

    @classmethod
    def of(cls, block: Callable[[Tensor, slice], Tensor], size: int, top: float, device: torch.device) -> Rounded:
        """block: positions of rows, and columns -> that part of the matrix; it is asked for the upper half alone."""
        held = torch.empty(size, size, dtype=torch.int16, device=device)
        everyone = torch.arange(size, device=device)
        step = max(1, ENTRIES // size)
        for start in range(0, size, step):
            end = min(start + step, size)
            part = block(everyone[start:end], slice(start, size)).mul_(STEPS / top).round_().clamp_(0, STEPS)
            held[start:end, start:] = part.sub_(2**15).to(torch.int16)
            held[end:, start:end] = held[start:end, end:].T
        return cls(held, top)

    def rows(self, index: Tensor) -> Tensor:
        """`(b, m)`, in single precision."""
        return self.held[index].float().add_(2**15).mul_(self.top / STEPS)

    def most(self) -> Tensor:
        """The largest number."""
        return self.rows(self.held.amax(1).argmax()[None]).amax()

    @staticmethod
    def fits(size: int) -> bool:
        """Whether a common machine holds that many rows: up to 56,755."""
        return size**2 * 2 / 2**30 <= LIMIT
