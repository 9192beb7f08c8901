"""Run directories: which configuration one belongs to, and which files it contains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cliptune import inputs, plain_values
from cliptune.config import RunConfig, external_names, fingerprint, from_dict, to_yaml
from cliptune.dir_lock import LOCK_FILE
from cliptune.errors import UserError, shown
from cliptune.external_code import AllowCode
from cliptune.files import read_text, write_text
from cliptune.hub.name import is_hub_name, parse_name
from cliptune.results.store import RESULT_FILE

CHECKPOINT, RESUME, CONFIG = "checkpoint.safetensors", "resume.safetensors", "config.yaml"
#: The training images that a selector chose, with their weights.
CORESET = "coreset.json"
#: The temperature that was fitted on validation images.
CALIBRATION = "calibration.json"
#: Sentences about the classes, next to a checkpoint from the hub whose method reads them.
DESCRIPTIONS = "descriptions.json"
#: What a run on the hub consists of, apart from files for human readers.
HUB_FILES = (CHECKPOINT, CONFIG, RESULT_FILE, CALIBRATION, DESCRIPTIONS)
#: Identities at the services of loggers, with which a resumed run continues there.
IDENTITIES = "loggers.json"
#: Checkpoint of an earlier stage of training, for methods that train in several stages.
STAGE = "stage{}.safetensors"
#: Largest size of a configuration file.
MAX_CONFIG_BYTES = 1 << 20
#: Patterns of temporary files of killed processes; and of a finished run, also the training state, identities, files of
#: unfinished takeovers of a lock, and the lock file of earlier versions.
TEMPORARY, OUTDATED = (".*.tmp",), (RESUME, f"*.{RESUME}", IDENTITIES, f"{LOCK_FILE}.*", ".held")


def find_run(path: str | Path) -> Path:
    """The folder or checkpoint file of a run that the user named: a path, or hf:USER/MODEL[@REVISION] on the hub.

    A run on the hub is downloaded. Raises `UserError` if that fails.
    """
    if not is_hub_name(path):
        return Path(path)
    from cliptune.hub.download import download_run

    return download_run(parse_name(path), HUB_FILES)


@contextmanager
def claimed_run_dir(folder: Path | None, run: RunConfig, read: Mapping[str, str] | None = None) -> Iterator[None]:
    """`claim_run_dir` for the block; if a `UserError` ends it before the first epoch, leave no files."""
    if folder is None:
        yield
        return
    claim_run_dir(folder, run, read)
    try:
        yield
    except UserError:
        if not _has_results(folder):
            for name in (CONFIG, CORESET, inputs.INPUTS, IDENTITIES):
                (folder / name).unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                folder.rmdir()
        raise


def claim_run_dir(folder: Path, run: RunConfig, read: Mapping[str, str] | None = None) -> None:
    """Write the run's configuration to its directory, or check that the one there is the same, and so are the files
    that the run reads.

    A different configuration is replaced if nothing was trained with it. Raises `UserError` if something was.

    read: Digests of what the run reads (`inputs`), by default those of the files that it names.
    """
    same, trained = has_config(folder, run), _has_results(folder)
    if trained and not same:
        raise UserError(
            f"{folder} contains a run of another configuration; choose another folder with --out, or remove it"
        )
    read = inputs.file_digests(run) if read is None else read
    if trained and (changed := inputs.find_changed(folder, read)):
        raise UserError(
            f"{changed} changed since the run in {folder} was trained with it; restore it, choose another folder with "
            f"--out, or remove that one"
        )
    if not same:
        write_text(folder / CONFIG, to_yaml(run))
    if not trained:
        if inputs.find_changed(folder, read):
            (folder / CORESET).unlink(missing_ok=True)  # it was selected with other content
        inputs.write_inputs(folder, read)


def has_config(folder: Path, run: RunConfig) -> bool:
    """Whether the configuration in the directory is the run's."""
    try:
        # The user asked for the external code that the run names, so the file may name it too.
        config = from_dict(plain_values.from_yaml(read_text(folder / CONFIG, MAX_CONFIG_BYTES)), external_names(run))
    except ValueError:
        return False
    return fingerprint(config) == fingerprint(run)


def read_config(path: str | Path, allow_code: AllowCode = False) -> RunConfig:
    """The configuration in the `config.yaml` of a run, given as that file, as its directory, or by its name on the hub.

    allow_code: Whether methods outside of cliptune may be imported, or the names of those that may. Raises `UserError`
    that names the file, and the key or the value that cannot be used.
    """
    file = find_run(path).expanduser()
    file = file / CONFIG if file.is_dir() else file
    text = read_text(file, MAX_CONFIG_BYTES)
    try:
        content = plain_values.from_yaml(text)
    except ValueError as error:
        raise UserError(f"{file} is not YAML ({error}); pass the {CONFIG} of a run") from None
    if not isinstance(content, dict) or "method" not in content:
        raise UserError(f"{file} names no method, it contains {shown(content)}; pass the {CONFIG} of a run")
    try:
        return from_dict(content, allow_code)
    except UserError as error:
        raise UserError(f"{file}: {error} (correct it there, or use the version that wrote the file)") from None


def is_done(folder: Path, run: RunConfig) -> bool:
    """Whether the directory contains the run's result. Raises `UserError` for the result of another run."""
    if not (folder / RESULT_FILE).is_file():
        return False
    claim_run_dir(folder, run)
    return True


def has_progress(folder: Path) -> bool:
    """Whether there is training to resume."""
    return any((folder / name).is_file() for name in (RESUME, STAGE.format(1)))


def remove_leftovers(folder: Path, *, finished: bool = False) -> None:
    """Remove temporary files of killed processes. The caller must hold the directory's lock.

    finished: whether the run is done, so that the training state can be removed as well.
    """
    for path in _leftovers(folder, finished):
        path.unlink(missing_ok=True)


def remove_run(folder: Path) -> None:
    """Remove the files of a run, the record first. The caller must hold the directory's lock."""
    names = (RESULT_FILE, CHECKPOINT, RESUME, CONFIG, CORESET, inputs.INPUTS)
    for path in (*(folder / name for name in names), *folder.glob("stage*.safetensors"), *_leftovers(folder, True)):
        path.unlink(missing_ok=True)


def has_leftovers(folder: Path) -> bool:
    """Whether the directory of a finished run contains files that `remove_leftovers` removes."""
    return next(_leftovers(folder, finished=True), None) is not None


def _leftovers(folder: Path, finished: bool) -> Iterator[Path]:
    for pattern in (*TEMPORARY, *(OUTDATED if finished else ())):
        yield from folder.glob(pattern)


def _has_results(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (RESUME, STAGE.format(1), CHECKPOINT, RESULT_FILE))
