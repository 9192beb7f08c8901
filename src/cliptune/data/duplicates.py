"""Duplicate image files in a task: under several classes, or in both training and test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cliptune.data import image_files
from cliptune.data.image_files import ImageFiles
from cliptune.data.targets import labels_in
from cliptune.text import listed
from cliptune.types import NO_LABEL, Example, Task
from cliptune.user_warnings import warn_user

#: Bytes that are read at most to compare files of the same size and end.
MAX_HASHED_BYTES = 1 << 30
#: Groups of files named in a message.
MAX_NAMED = 3


@dataclass(frozen=True)
class _Seen:
    """An image file of a task: whether it is used for training, and the names of its classes (none if unlabelled)."""

    path: Path
    trains: bool
    classes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.path} ({', '.join(sorted(self.classes)) or 'unlabelled'})"


def warn_of_duplicates(task: Task, data: str) -> dict[str, int]:
    """Warn about byte-for-byte duplicates under several classes, or in both training and test.

    Files that agree in size and end are compared as a whole, up to `MAX_HASHED_BYTES` in total; a warning counts those
    that were not. Public datasets are not checked, as their splits are published as they are.

    Args:
        task: The task.
        data: The run's name for its data.

    Returns:
        The number of duplicates of each kind that occurs.
    """
    if task.dataset.is_public:
        return {}
    groups = _same(list(_files(task)), task.dataset.image_files)
    across = [group for group in groups if len({seen.classes for seen in group if seen.classes}) > 1]
    leaks = [group for group in groups if len({seen.trains for seen in group}) > 1]
    if across:
        warn_user(
            f"{len(across)} image{'s are' if len(across) > 1 else ' is'} in {data} under several classes, byte for "
            f"byte: {_named(across)}; keep each in one class"
        )
    tested = sum(not seen.trains for group in leaks for seen in group)
    if leaks:
        warn_user(
            f"{tested} test image{'s' if tested > 1 else ''} of {data} {'are' if tested > 1 else 'is'} also trained "
            f"on, byte for byte: {_named(leaks)}; they make the accuracy too high"
        )
    found = {"several_classes": len(across), "trained_and_tested": tested}
    return {kind: count for kind, count in found.items() if count}


def identical_files(examples: Sequence[Example], files: ImageFiles) -> list[list[Example]]:
    """Groups of at least two examples whose image files are the same, byte for byte (limits as in
    `warn_of_duplicates`)."""
    by_path = {example.path: example for example in examples if example.path is not None}
    seen = [_Seen(path, True, frozenset()) for path in by_path]
    return [[by_path[one.path] for one in same] for same in _same(seen, files)]


def _files(task: Task) -> Iterator[_Seen]:
    """Each image file of the task's own dataset once."""
    known: set[str] = set()
    parts: list[tuple[bool, Sequence[Example], Sequence[str]]] = [(True, (*task.train, *task.val), task.classnames)]
    parts += [(False, test.examples, test.classnames) for test in task.tests.values() if test.dataset is None]
    for trains, examples, names in parts:
        for example in examples:
            if example.path is not None and example.key not in known:
                known.add(example.key)
                labels = [label for label in labels_in(example) if label != NO_LABEL]
                yield _Seen(example.path, trains, frozenset(names[label] for label in labels))


def _same(seen: Sequence[_Seen], files: ImageFiles) -> list[list[_Seen]]:
    """Groups of files with the same content."""
    alike: dict[bytes, list[_Seen]] = {}
    for one in seen:
        if tail := files.inspect(one.path).tail:
            alike.setdefault(tail, []).append(one)
    bytes_left, found, skipped = MAX_HASHED_BYTES, list[list[_Seen]](), 0
    for tail, group in alike.items():
        size = int.from_bytes(tail[:8])
        if len(group) > 1 and size > image_files.TAIL_BYTES:
            if size * len(group) > bytes_left:
                skipped += len(group)
                continue
            bytes_left -= size * len(group)
            digests = [files.digest(one.path) for one in group]
            group = [one for one, digest in zip(group, digests, strict=True) if digest and digest == digests[0]]
        if len(group) > 1:
            found.append(group)
    if skipped:
        warn_user(
            f"{skipped} images of the same size and end were not compared as a whole: at most "
            f"{MAX_HASHED_BYTES >> 20} MiB are read to find duplicates"
        )
    return found


def _named(groups: Sequence[Sequence[_Seen]]) -> str:
    return listed((f"{group[0]} and {listed(group[1:], 1)}" for group in groups), MAX_NAMED, "; ")
