"""A run's folder: whose it is, and what lies in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cliptune import plain
from cliptune.config import Run, dump, fingerprint, from_dict, outsiders
from cliptune.errors import UserError
from cliptune.files import read_text, write_text
from cliptune.results import store

CHECKPOINT, RESUME, CONFIG = "checkpoint.safetensors", "resume.safetensors", "config.yaml"
#: The training pictures that a selector chose, with their weights.
CORESET = "coreset.json"
#: What an earlier stage of training left, for methods that train in several.
STAGE = "stage{}.safetensors"
#: Bytes of a configuration at most.
LARGEST = 1 << 20


@contextmanager
def claimed(folder: Path | None, run: Run) -> Iterator[None]:
    """`claim` the folder; a mistake that shows before the first epoch is done leaves nothing there."""
    if folder is None:
        yield
        return
    claim(folder, run)
    try:
        yield
    except UserError:
        if not _work(folder):
            for name in (CONFIG, CORESET):
                (folder / name).unlink(missing_ok=True)
            with suppress(OSError):  # there may be other files
                folder.rmdir()
        raise


def claim(folder: Path, run: Run) -> None:
    """Make a run's folder its own: write its configuration, or see that the one there is the same.

    A configuration without any work gives way. Raises `UserError` for the work of another one.
    """
    if of(folder, run):
        return
    if _work(folder):
        raise UserError(
            f"{folder} holds a run of another configuration; choose another folder with --out, or remove it"
        )
    write_text(folder / CONFIG, dump(run))


def of(folder: Path, run: Run) -> bool:
    """Whether the configuration there is the run's."""
    try:
        # What the run itself names may be imported: somebody asked for it.
        held = from_dict(plain.from_yaml(read_text(folder / CONFIG, LARGEST)), outsiders(run))
    except ValueError:
        return False
    return fingerprint(held) == fingerprint(run)


def begun(folder: Path) -> bool:
    """Whether there is training to go on from."""
    return any((folder / name).is_file() for name in (RESUME, STAGE.format(1)))


def tidy(folder: Path, *, finished: bool = False) -> None:
    """Remove what killed processes left half-written, from a folder that no other process works in.

    finished: also the state of training.
    """
    for left in _left(folder, finished):
        left.unlink(missing_ok=True)


def untidy(folder: Path) -> bool:
    """Whether there is something that `tidy` would remove from a finished run's folder."""
    return next(_left(folder, True), None) is not None


def _left(folder: Path, finished: bool) -> Iterator[Path]:
    for pattern in (".*.tmp", *((RESUME, "*." + RESUME) if finished else ())):
        yield from folder.glob(pattern)


def _work(folder: Path) -> bool:
    """Whether something was computed there."""
    return any((folder / name).is_file() for name in (RESUME, STAGE.format(1), CHECKPOINT, store.NAME))


def done(folder: Path, run: Run) -> bool:
    """Whether the folder holds this run's result."""
    return (folder / store.NAME).is_file() and (claim(folder, run) is None)
