"""Image features found by the pixels of the images: in memory, and in a file that processes share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import torch
import xxhash
from torch import Tensor

from cliptune.dir_lock import lock_file

#: Name of the file of features in the cache folder.
FEATURES = "features.sqlite"
#: Bytes of features that are kept in memory; the least recently used ones are dropped.
MAX_MEMORY_BYTES = 256 << 20
#: Bytes of features in a file; beyond it, the older half is deleted.
MAX_FILE_BYTES = 1 << 30
#: Features that one statement looks up.
KEYS_AT_A_TIME = 500
#: Seconds to wait for another process that reads or writes the file.
TIMEOUT_SECONDS = 60.0
TABLE = "CREATE TABLE IF NOT EXISTS features (key BLOB NOT NULL UNIQUE, feature BLOB NOT NULL)"


@dataclass(frozen=True)
class _Scope:
    """Where and how features are remembered; see `remember_features`."""

    file: Path | None
    whole_batches: bool


_scope: ContextVar[_Scope | None] = ContextVar("scope", default=None)


@contextmanager
def remember_features(file: Path | None, whole_batches: bool = False) -> Iterator[None]:
    """Look up features of frozen image towers, and remember those that are computed, within the block.

    Features agree to rounding with those computed without it, as batches of other sizes round differently.

    Args:
        file: Also stores them, for other processes; None for memory alone.
        whole_batches: Look up batches instead of images, so that features are equal to the bit.
    """
    token = _scope.set(_Scope(file, whole_batches))
    try:
        yield
    finally:
        _scope.reset(token)


def active() -> bool:
    """Whether features are remembered, see `remember_features`."""
    return _scope.get() is not None


class FeatureMemo:
    """The features of a frozen image tower in memory. They are kept while the tower is."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._size = 0

    def features(self, images: Tensor, settings: str, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """Float32 features `(b, d)` of normalised `images` `(b, 3, H, W)`.

        Args:
            settings: Everything else that determines the features.
            encode: Computes features `(n, d)` of some of the images. Other processes with the same file wait for it, so
                that none computes the same.
        """
        scope = _scope.get()
        assert scope is not None
        file = scope.file
        pixels = images.detach().cpu().contiguous()
        parts = [pixels] if scope.whole_batches else list(pixels)
        start = xxhash.xxh3_128(f"{settings} {tuple(images.shape[1:])} {images.dtype}".encode())
        keys = [_key(start, part) for part in parts]
        known = self._in_memory(keys)

        def absent() -> list[int]:
            return [i for i, key in enumerate(keys) if key not in known]

        if file is not None:
            known |= self._keep(read_rows(file, [keys[i] for i in absent()]))
        if absent():
            with lock_file(file):
                if file is not None:
                    known |= self._keep(read_rows(file, [keys[i] for i in absent()]))
                if missing := absent():
                    found = encode(images if len(missing) == len(keys) else images[missing]).detach().float().cpu()
                    rows = dict(zip([keys[i] for i in missing], map(_to_bytes, found.chunk(len(missing))), strict=True))
                    known |= self._keep(rows)
                    if file is not None:
                        write_rows(file, rows)
        joined = bytearray(b"".join(known[key] for key in keys))
        return torch.frombuffer(joined, dtype=torch.float32).view(len(images), -1).to(images.device)

    def _in_memory(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found = {}
        for key in keys:
            if (row := self._rows.pop(key, None)) is not None:
                found[key] = self._rows[key] = row  # last in order: most recently used
        return found

    def _keep(self, rows: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
        for key, row in rows.items():
            self._size += len(row) - len(self._rows.pop(key, b""))
            self._rows[key] = row
        while self._size > MAX_MEMORY_BYTES and self._rows:
            self._size -= len(self._rows.pop(next(iter(self._rows))))
        return rows


def read_rows(file: Path, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """The features in the file, by key; empty if it is missing or damaged."""
    found: dict[bytes, bytes] = {}
    with suppress(sqlite3.Error, OSError):
        if keys and file.is_file():
            with closing(sqlite3.connect(file, timeout=TIMEOUT_SECONDS)) as database:
                for start in range(0, len(keys), KEYS_AT_A_TIME):
                    some = keys[start : start + KEYS_AT_A_TIME]
                    wanted = f"SELECT key, feature FROM features WHERE key IN ({', '.join('?' * len(some))})"
                    found |= {key: row[8:] for key, row in database.execute(wanted, some) if _intact(key, row)}
    return found


def write_rows(file: Path, rows: Mapping[bytes, bytes]) -> None:
    """Add features to the file. Errors, such as a full disk, are ignored, as the features are in memory."""
    signed = [(key, _signature(key, row) + row) for key, row in rows.items()]
    with suppress(sqlite3.Error, OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            try:
                with closing(sqlite3.connect(file, timeout=TIMEOUT_SECONDS)) as database, database:
                    database.execute(TABLE)
                    database.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", signed)
                    if _used_bytes(database) > MAX_FILE_BYTES:
                        half = "SELECT (MIN(rowid) + MAX(rowid)) / 2 FROM features"
                        database.execute(f"DELETE FROM features WHERE rowid <= ({half})")
                return
            except sqlite3.OperationalError:  # locked, read-only or full
                return
            except sqlite3.DatabaseError:  # not a database, or damaged
                file.unlink()


def _used_bytes(database: sqlite3.Connection) -> int:
    pages, free, size = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _key(start: xxhash.xxh3_128, pixels: Tensor) -> bytes:
    digest = start.copy()
    digest.update(pixels.numpy().reshape(-1).data)
    return digest.digest()


def _to_bytes(features: Tensor) -> bytes:
    return features.numpy().tobytes()


def _signature(key: bytes, row: bytes) -> bytes:
    return xxhash.xxh3_64(key + row).digest()


def _intact(key: bytes, row: bytes) -> bool:
    return len(row) > 8 and row[:8] == _signature(key, row[8:])
