"""Files read without waiting on pipes, and written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

import platformdirs

from cliptune.errors import UserError, os_reason, shown

#: Environment variable that names another cache folder than the user's.
CACHE_VARIABLE = "CLIPTUNE_CACHE"


def cache_folder(name: str = "") -> Path:
    """Where what can be computed again is kept between runs: `name` in the user's cache folder, unless the environment
    says where."""
    given = os.environ.get(CACHE_VARIABLE, "")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("cliptune") / name


def open_regular(path: str | Path) -> BufferedReader:
    """Open a regular file to read its bytes. Raises `OSError`, also for a pipe, a socket or a device, which could keep
    the reader waiting forever (`errno.EINVAL`)."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a directory, `open` says what it is
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return open(path, "rb")


def read_bytes(path: str | Path, most: int = 1 << 30) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises `UserError`."""
    try:
        with open_regular(path) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {os_reason(error)}") from None
    except ValueError as error:  # a path with a zero byte
        raise UserError(f"cannot read {str(path)!r}: {error}") from None
    if len(content) > most:
        raise UserError(f"cannot read {path}: it is larger than {most:,} bytes; check the path")
    return content


def read_text(path: str | Path, most: int = 1 << 30) -> str:
    """The content of a regular file of UTF-8 text, without a byte order mark. Raises `UserError`."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read {path}: byte {error.start} is not UTF-8; save it as UTF-8 text") from None


def check_folder(path: str | Path) -> None:
    """Raise `UserError` unless files can be written to a folder at `path`, which need not be there yet."""
    path = Path(path).absolute()
    with _write_errors(path):
        if path == path.parent:
            raise UserError(f"{path} is the root of the file system; choose a folder of its own with --out")
        with suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(path)  # a name may be too long
        there = next(place for place in (path, *path.parents) if os.path.lexists(place))
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def check_file(path: str | Path) -> None:
    """Raise `UserError` unless a file can be written at `path`, be it there or not."""
    path = Path(path).absolute()
    with _write_errors(path):
        if path.is_dir():
            raise UserError(f"{path} is a folder; name a file with --out")
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is a device or a pipe; name a file with --out")
    if path.parent != path.parent.parent:
        check_folder(path.parent)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; it takes the name `path` if the block succeeds, else it goes.

    A reader sees the old file or the new one, never half of it. Missing folders are made. The temporary name is hidden
    and ends in `.tmp`, so no `*.json` finds it; a writer that reads the format off the suffix must be told it.
    Raises `UserError` when `path` cannot be written; what the block itself raises passes unchanged.
    """
    path = Path(path)
    if not path.name or (path.exists() and not (path.is_file() or path.is_dir())):
        raise UserError(f"{path} is a device or a pipe, or no name; name a file with --out")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with _write_errors(path):
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    try:
        yield temporary
        with _write_errors(path):
            with open(temporary, "r+b") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all. Raises `UserError`."""
    with atomic_write(path) as temporary, _write_errors(path):
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, line ends as they are, whole or not at all. Raises `UserError`."""
    with _write_errors(path):
        content = text.encode()
    write_bytes(path, content)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` to `path` as JSON with sorted keys, whole or not at all.

    Raises `UserError`, and `TypeError` for what JSON lacks.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def _write_errors(path: str | Path) -> Iterator[None]:
    """Turn what the system says about `path` into a sentence for the user."""
    try:
        yield
    except OSError as error:
        reason = os_reason(error)
        named = str(path) if len(str(path)) < 300 else shown(str(path))
        raise UserError(f"cannot write to {named}: {reason}; choose another folder with --out") from error
    except ValueError as error:  # a path with a zero byte, text with half a character; UserError is one too
        raise error if isinstance(error, UserError) else UserError(f"cannot write to {path}: {error}") from None
