"""A run's folder: whose it is, and what lies in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cliptune import plain_values
from cliptune.config import RunConfig, external_names, fingerprint, from_dict, to_yaml
from cliptune.errors import UserError
from cliptune.files import read_text, write_text
from cliptune.results import store

CHECKPOINT, RESUME, CONFIG = "checkpoint.safetensors", "resume.safetensors", "config.yaml"
#: The training pictures that a selector chose, with their weights.
CORESET = "coreset.json"
#: What an earlier stage of training left, for methods that train in several.
STAGE = "stage{}.safetensors"
#: Bytes of a configuration at most.
MAX_CONFIG_BYTES = 1 << 20


@contextmanager
def claimed_run_dir(folder: Path | None, run: RunConfig) -> Iterator[None]:
    """`claim` the folder; a mistake that shows before the first epoch is done leaves nothing there."""
    if folder is None:
        yield
        return
    claim_run_dir(folder, run)
    try:
        yield
    except UserError:
        if not _has_results(folder):
            for name in (CONFIG, CORESET):
                (folder / name).unlink(missing_ok=True)
            with suppress(OSError):  # there may be other files
                folder.rmdir()
        raise


def claim_run_dir(folder: Path, run: RunConfig) -> None:
    """Make a run's folder its own: write its configuration, or see that the one there is the same.

    A configuration without any work gives way. Raises `UserError` for the work of another one.
    """
    if has_config(folder, run):
        return
    if _has_results(folder):
        raise UserError(
            f"{folder} holds a run of another configuration; choose another folder with --out, or remove it"
        )
    write_text(folder / CONFIG, to_yaml(run))


def has_config(folder: Path, run: RunConfig) -> bool:
    """Whether the configuration there is the run's."""
    try:
        # What the run itself names may be imported: somebody asked for it.
        held = from_dict(plain_values.from_yaml(read_text(folder / CONFIG, MAX_CONFIG_BYTES)), external_names(run))
    except ValueError:
        return False
    return fingerprint(held) == fingerprint(run)


def has_progress(folder: Path) -> bool:
    """Whether there is training to go on from."""
    return any((folder / name).is_file() for name in (RESUME, STAGE.format(1)))


def remove_leftovers(folder: Path, *, finished: bool = False) -> None:
    """Remove what killed processes left half-written, from a folder that no other process works in.

    finished: also the state of training.
    """
    for left in _leftovers(folder, finished):
        left.unlink(missing_ok=True)


def has_leftovers(folder: Path) -> bool:
    """Whether there is something that `tidy` would remove from a finished run's folder."""
    return next(_leftovers(folder, True), None) is not None


def _leftovers(folder: Path, finished: bool) -> Iterator[Path]:
    for pattern in (".*.tmp", *((RESUME, "*." + RESUME) if finished else ())):
        yield from folder.glob(pattern)


def _has_results(folder: Path) -> bool:
    """Whether something was computed there."""
    return any((folder / name).is_file() for name in (RESUME, STAGE.format(1), CHECKPOINT, store.RESULT_FILE))


def is_done(folder: Path, run: RunConfig) -> bool:
    """Whether the folder holds this run's result."""
    return (folder / store.RESULT_FILE).is_file() and (claim_run_dir(folder, run) is None)
