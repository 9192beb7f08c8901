"""Rows that are kept for later: in memory while they are few, in a file when they are many."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
import torch
from torch import Tensor

#: Memory that rows may take before they go to a file.
MEMORY_BYTES = 1 << 28


class KeptRows:
    """float32 rows of one length, which are added in batches and read as one tensor."""

    def __init__(self):
        self._held: list[Tensor] = []
        self._file: IO[bytes] | None = None

    def add(self, rows: Tensor) -> None:
        """Add rows `(b, columns)`. Raises `OSError` if there is no space for the file."""
        self._held.append(rows.float().contiguous())
        if sum(part.nbytes for part in self._held) > MEMORY_BYTES:
            if self._file is None:  # without a name, so that it is gone with this object, also after a crash
                self._file = tempfile.TemporaryFile(prefix="cliptune-")
            for part in self._held:
                self._file.write(part.numpy().data)
            self._held = [rows[:0]]

    @contextmanager
    def whole(self) -> Iterator[Tensor]:
        """All rows `(n, columns)` within a block, in memory or mapped from the file, which is removed afterwards."""
        held = torch.cat(self._held)
        if self._file is None:
            yield held
            return
        with self._file as file:
            file.write(held.numpy().data)
            file.flush()
            mapped = np.memmap(file, np.float32, "r+")  # writable, or PyTorch would warn
            yield torch.from_numpy(mapped).view(-1, held.shape[1])
