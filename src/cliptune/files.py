"""Read regular files only, and write files atomically."""

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

#: Environment variable that replaces the cache folder of the user.
CACHE_VARIABLE = "CLIPTUNE_CACHE"


def cache_folder(name: str = "") -> Path:
    """The folder for data that can be recomputed: `name` in the user's cache folder, or that of `CACHE_VARIABLE`."""
    given = os.environ.get(CACHE_VARIABLE, "")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("cliptune") / name


def open_regular(path: str | Path) -> BufferedReader:
    """Open a regular file to read its bytes.

    Raises `OSError`, with `errno.EINVAL` for a pipe, a socket or a device, on which a read could block forever.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # `open` raises for a directory
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return open(path, "rb")


def read_bytes(path: str | Path, most: int = 1 << 30) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises `UserError`."""
    try:
        with open_regular(path) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {os_reason(error)}") from None
    except ValueError as error:  # a path with a NUL byte
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
    """Raise `UserError` unless files can be written to the folder `path`, which need not exist yet."""
    path = Path(path).absolute()
    with _write_errors(path):
        if path == path.parent:
            raise UserError(f"{path} is the root of the file system; choose another folder with --out")
        with suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(path)  # a name may be too long
        there = next(place for place in (path, *path.parents) if os.path.lexists(place))
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def check_file(path: str | Path) -> None:
    """Raise `UserError` unless the file `path` can be written, whether it exists or not."""
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
    """Yield a temporary path next to `path`; it is renamed to `path` if the block succeeds, and deleted otherwise.

    A reader sees the old file or the new one, never a part of it. Missing folders are created. The temporary name
    starts with a dot and ends in `.tmp`, so a writer that takes the format from the suffix needs it as an argument.
    Raises `UserError` if `path` cannot be written; errors of the block itself pass unchanged.
    """
    path = Path(path)
    if not path.name or (path.exists() and not (path.is_file() or path.is_dir())):
        raise UserError(f"{path} is a device or a pipe, or has no name; name a file with --out")
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
    """Write `data` to `path` atomically. Raises `UserError`."""
    with atomic_write(path) as temporary, _write_errors(path):
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 atomically, with unchanged line ends. Raises `UserError`."""
    with _write_errors(path):
        content = text.encode()
    write_bytes(path, content)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` to `path` as JSON with sorted keys, atomically.

    Raises `UserError`, and `TypeError` for values that JSON cannot represent.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def _write_errors(path: str | Path) -> Iterator[None]:
    """Turn system errors about `path` into a `UserError`."""
    try:
        yield
    except OSError as error:
        named = str(path) if len(str(path)) < 300 else shown(str(path))
        raise UserError(f"cannot write to {named}: {os_reason(error)}; choose another folder with --out") from error
    except (
        ValueError
    ) as error:  # a path with a NUL byte, or a lone surrogate in the text; a UserError is a ValueError too
        raise error if isinstance(error, UserError) else UserError(f"cannot write to {path}: {error}") from None
