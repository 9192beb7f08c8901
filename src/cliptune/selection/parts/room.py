"""Memory of methods that keep a row of similarities for each picture chosen."""

from __future__ import annotations

import torch
from torch import Tensor

from cliptune.errors import UserError

#: GiB that kept rows may take.
LIMIT = 6.0


def kept_rows(budget: int, size: int, like: Tensor, method: str) -> Tensor:
    """Empty `(budget, size)`. Raises `UserError` where that is more than a common machine holds."""
    gib = budget * size * like.dtype.itemsize / 2**30
    if gib > LIMIT:
        raise UserError(
            f"{method} of {budget} of {size} pictures at once would hold {gib:.0f} GiB; take a smaller fraction, or "
            f"balanced=True, which goes class by class"
        )
    return torch.empty(budget, size, dtype=like.dtype, device=like.device)
