"""Image files that a task has twice: under several classes, or in training and in test."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cliptune.data.targets import labels_in
from cliptune.types import Example, Task

#: Files of fewer bytes hold a few pixels of one colour at most.
MIN_FILE_BYTES = 80
#: Bytes at the end of a file by which files of the same size are told apart, before the rest is read.
TAIL_BYTES = 1 << 16
#: Bytes of such files that are read as a whole at most.
MAX_HASHED_BYTES = 1 << 30
#: Groups of files named in a sentence.
MAX_NAMED = 3


@dataclass(frozen=True)
class _Seen:
    """One file of a task: the part it is in, and the names of its classes."""

    path: Path
    trains: bool
    classes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.path} ({', '.join(sorted(self.classes))})"


def warn_of_duplicates(task: Task, data: str) -> dict[str, int]:
    """Warn of image files that are the same byte for byte, in several classes or in training and test.

    data: what the run calls its data. Returns how many there are of each kind, without kinds of which there are none.
    Sizes and ends of files are compared first; of those that agree, at most `MOST` bytes are read, and a warning counts
    those that were not. Public datasets are
    left alone: their splits are published as they are.
    """
    if getattr(type(task.dataset), "card", None) is not None:
        return {}
    groups = _same(list(_files(task)))
    across = [group for group in groups if len({seen.classes for seen in group}) > 1]
    leaks = [group for group in groups if len({seen.trains for seen in group}) > 1]
    if across:
        warnings.warn(
            f"{len(across)} image{'s are' if len(across) > 1 else ' is'} in {data} under several classes, byte for "
            f"byte: {_named(across)}; keep each in one class",
            stacklevel=3,
        )
    tested = sum(not seen.trains for group in leaks for seen in group)
    if leaks:
        warnings.warn(
            f"{tested} test image{'s' if tested > 1 else ''} of {data} {'are' if tested > 1 else 'is'} also trained "
            f"on, byte for byte: {_named(leaks)}; accuracy is too high by them",
            stacklevel=3,
        )
    found = {"several_classes": len(across), "trained_and_tested": tested}
    return {kind: count for kind, count in found.items() if count}


def tail_digest(path: Path) -> bytes | None:
    """A digest of the end of a file, kept for the next call; None where it cannot be read or holds no image to speak
    of."""
    try:
        stat = os.stat(path)
        return _end(path, stat.st_mtime_ns, stat.st_size) if stat.st_size >= MIN_FILE_BYTES else None
    except OSError:
        return None


@lru_cache(maxsize=1 << 18)
def _end(path: Path, modified: int, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, size - TAIL_BYTES))
        return size.to_bytes(8) + hashlib.blake2b(file.read(), digest_size=16).digest()


def _files(task: Task) -> Iterator[_Seen]:
    """Each image file of the task's own data once."""
    known: set[str] = set()
    parts: list[tuple[bool, Sequence[Example], Sequence[str]]] = [(True, (*task.train, *task.val), task.classnames)]
    parts += [(False, test.examples, test.classnames) for test in task.tests.values() if test.dataset is None]
    for trains, examples, names in parts:
        for example in examples:
            if example.path is not None and example.key not in known:
                known.add(example.key)
                yield _Seen(example.path, trains, frozenset(names[label] for label in labels_in(example)))


def _same(files: Sequence[_Seen]) -> list[list[_Seen]]:
    """Groups of files of the same content."""
    alike: dict[bytes, list[_Seen]] = {}
    for seen in files:
        if (end := tail_digest(seen.path)) is not None:
            alike.setdefault(end, []).append(seen)
    room, found, unread = MAX_HASHED_BYTES, list[list[_Seen]](), 0
    for end, group in alike.items():
        size = int.from_bytes(end[:8])
        if len(group) > 1 and size > TAIL_BYTES:
            if size * len(group) > room:
                unread += len(group)
                continue
            room -= size * len(group)
            group = _whole(group)
        if len(group) > 1:
            found.append(group)
    if unread:
        warnings.warn(
            f"{unread} images of the same size and end were not compared as a whole: duplicates are looked for in "
            f"{MAX_HASHED_BYTES >> 20} MiB at most",
            stacklevel=4,
        )
    return found


def _whole(group: Sequence[_Seen]) -> list[_Seen]:
    """Those of a group whose whole files are the same as the first one's."""
    digests = []
    for seen in group:
        try:
            with open(seen.path, "rb") as file:
                digests.append(hashlib.file_digest(file, "blake2b").digest())
        except OSError:
            digests.append(None)
    return [seen for seen, digest in zip(group, digests, strict=True) if digest is not None and digest == digests[0]]


def _named(groups: Sequence[Sequence[_Seen]]) -> str:
    said = [" and ".join(map(str, group[:2])) + f" and {len(group) - 2} more" * (len(group) > 2) for group in groups]
    return "; ".join(said[:MAX_NAMED]) + (f"; and {len(groups) - MAX_NAMED} more" if len(groups) > MAX_NAMED else "")
