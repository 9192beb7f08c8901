"""What large pools take: memory that is not there is refused, hours are announced."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from cliptune.errors import UserError

#: GiB that kept rows, or similarities of all pictures, may take.
LIMIT = 6.0
#: Multiplications a core does in a second, and the minutes from which on they are worth a word.
SPEED, MINUTES = 2e10, 20
#: A product with one vector waits for memory, as long as this many of those that come together.
ALONE = 8


def kept_rows(budget: int, size: int, like: Tensor, method: str) -> Tensor:
    """Empty `(budget, size)`. Raises `UserError` where that is more than a common machine holds."""
    gib = budget * size * like.dtype.itemsize / 2**30
    if gib > LIMIT:
        raise UserError(
            f"{method} of {budget} of {size} pictures at once would hold {gib:.0f} GiB; take a smaller fraction, or "
            f"balanced=True, which goes class by class"
        )
    return torch.empty(budget, size, dtype=like.dtype, device=like.device)


def announce(method: str, budget: int, like: Tensor, each: float) -> None:
    """Warn before work that takes this processor long.

    like: anything with a row a picture of the group. each: multiplications for a picture and one of those to choose.
    """
    minutes = budget * len(like) * each / (SPEED * torch.get_num_threads()) / 60
    if like.device.type == "cpu" and minutes > MINUTES:
        long = f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.0f} hours"
        warnings.warn(
            f"{method} of {budget} of {len(like)} pictures at once will take about {long}; a smaller pool, a smaller "
            f"fraction, a graphics card, or balanced=True, which goes class by class, take less",
            stacklevel=3,
        )
