"""A folder that one process at a time works in, also where machines share the disk.

The holder leaves a file that only one can create, and touches it while it lives. One that is no longer touched is of a
process that is no more, and gives way; on the same machine that is seen at once. Should a process be taken for dead
that was only suspended, two do the same work, and leave the same files.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cliptune import plain_values
from cliptune.errors import UserError, os_reason
from cliptune.files import read_text

#: The file in a held folder.
LOCK_FILE = ".held"
#: Seconds between signs of life, and without one before a holder on another machine is taken for dead.
BEAT, STALE = 5.0, 60.0

#: What this process holds: its own work may go into a folder again.
_mine: set[Path] = set()


class DirLocked(UserError):
    """Another process is at work there."""


@contextmanager
def lock_dir(folder: Path | None) -> Iterator[None]:
    """Hold a folder for the block; None holds nothing. Raises `Held` while another process holds it.

    The folder is made, with those above it, and goes if it is empty in the end.
    """
    path = None if folder is None else folder.absolute() / LOCK_FILE
    if path is None or path in _mine:
        yield
        return
    own = _me()
    made = [place for place in path.parents if not place.exists()]
    _take(path, own)
    _mine.add(path)
    over = threading.Event()
    threading.Thread(target=_beat, args=(path, own, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        _mine.discard(path)
        if _read(path) == own:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it holds something
            for place in made or [path.parent]:
                place.rmdir()


def lock_owner(folder: Path) -> str:
    """Who holds the folder, in words, or "" where nobody alive does."""
    path = folder.absolute() / LOCK_FILE
    text = _read(path)
    if not text or _dead(path, text):
        return ""
    about = _said(text)
    return f"process {about['process']} on {about['host']}" if about else "another process"


def _take(path: Path, own: str) -> None:
    """Create the file. Raises `Held`."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # a holder that left removed the empty folder in between
                with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY), "w", encoding="utf-8") as file:
                    file.write(own)
                return
        except OSError as error:
            if not isinstance(error, FileExistsError) or path.parent.is_file():
                reason = os_reason(error)
                raise UserError(f"cannot write to {path.parent}: {reason}; choose another folder with --out") from error
            text = _read(path)
            if not _dead(path, text):
                who = lock_owner(path.parent) or "another process"
                raise DirLocked(
                    f"{path.parent} is being worked in by {who}; wait for it, or choose another folder with --out"
                ) from None
            _clear(path, text)


def _clear(path: Path, seen: str) -> None:
    """Move a dead holder's file out of the way, and nobody else's."""
    with _alone(path.parent):
        if _read(path) != seen:
            return
        moved = path.with_name(f"{LOCK_FILE}.{secrets.token_hex(4)}.tmp")
        with suppress(FileNotFoundError):  # another machine was quicker
            os.rename(path, moved)
            if _read(moved) != seen:  # another machine was quicker, and this is its file
                with suppress(OSError):
                    os.link(moved, path)
            with suppress(OSError):  # a folder of someone's, which stays under that name
                moved.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine from clearing the folder meanwhile, where the system can lock folders."""
    try:
        import fcntl

        place = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _beat(path: Path, own: str, over: threading.Event) -> None:
    while not over.wait(BEAT):
        with suppress(OSError):
            if _read(path) == own:
                os.utime(path)


def _dead(path: Path, text: str) -> bool:
    """Whether the file of this content is of a process that is no more."""
    about = _said(text)  # None: just created, or torn by a crash, so its age tells
    if about and about["machine"] == _machine():
        runs = _runs(about["process"], about["began"])
        if about["began"] or not runs:
            return not runs
    return _age(path) > STALE


def _said(text: str) -> dict[str, Any] | None:
    """What a holder's file says, if it is one that `_me` wrote."""
    try:
        about = plain_values.from_json(text)
        words = all(isinstance(about[key], str) for key in ("host", "machine", "began"))
        return about if words and type(about["process"]) is int and 0 < about["process"] < 2**31 else None
    except (ValueError, KeyError, TypeError):
        return None


def _age(path: Path) -> float:
    """Seconds since the file was touched, by the clock of the disk it is on; 0 if it is gone."""
    probe = path.with_name(f"{LOCK_FILE}.{secrets.token_hex(4)}.tmp")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.lstat().st_mtime
    except OSError:
        return 0.0
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _me() -> str:
    """What stands in the file; no two are the same."""
    return json.dumps(
        {
            "host": platform.node(),
            "machine": _machine(),
            "process": os.getpid(),
            "began": _began(os.getpid()),
            "token": secrets.token_hex(8),
        }
    )


def _machine() -> str:
    """Tells machines apart, and containers, whose processes are counted on their own."""
    boot, space = _read(Path("/proc/sys/kernel/random/boot_id")).strip(), ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return "/".join((platform.node(), boot, space))


def _runs(process: int, began: str) -> bool:
    """Whether this machine's process of that number is alive and the one that began then."""
    if os.name != "posix":
        return True  # os.kill would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _began(process) == began


def _began(process: int) -> str:
    """When a process began, by the system's count, or "" where it does not say; a dead one not yet waited for never
    did."""
    said = _read(Path(f"/proc/{process}/stat")).rpartition(")")[2].split()
    return "zombie" if said[:1] == ["Z"] else said[19] if len(said) > 19 else ""


def _read(path: Path) -> str:
    try:
        return read_text(path, 1 << 16)
    except UserError:
        return ""
