"""A lock on a run directory, also between machines that share a disk.

The lock is a `filelock.SoftFileLease`: a file that names its owner, which touches it regularly. The lock of a process
that died is taken over: at once on the same machine, else after `LEASE_SECONDS` without a heartbeat. If a process was
only suspended, two processes compute the same run and write the same files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, LeaseSettingsMismatch, SoftFileLease, Timeout

from cliptune.errors import UserError, os_reason
from cliptune.user_warnings import warn_user

#: The file in a locked directory.
LOCK_FILE = ".lock"
#: Seconds between heartbeats; and without one until the owner counts as dead, on which all processes must agree.
HEARTBEAT_SECONDS, LEASE_SECONDS = 5.0, 60.0
#: Seconds to retry while another process creates, releases or takes over the lock.
GRACE_SECONDS = 0.1


class DirLocked(UserError):
    """Another process holds the lock."""


@contextmanager
def lock_dir(folder: Path | None) -> Iterator[None]:
    """Lock a directory within the block; None locks nothing.

    The directory is created, and removed in the end if it is empty, with the parents created for it. The lock is
    reentrant within a thread. Raises `DirLocked` if another process holds it.
    """
    if folder is None:
        yield
        return
    folder = folder.absolute()
    created = [place for place in (folder, *folder.parents) if not place.exists()]
    lock = _lock_of(folder)
    _acquire(lock, folder)
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # not empty
            for place in created or [folder]:
                place.rmdir()


def lock_owner(folder: Path) -> str:
    """The process that holds the lock, for messages; "" if there is none or it is dead."""
    folder = folder.absolute()
    lock = _lock_of(folder)
    if not os.path.lexists(folder / LOCK_FILE) or _seconds_without_heartbeat(folder) > LEASE_SECONDS:
        return ""
    if not lock.is_locked:
        with suppress(OSError, LeaseSettingsMismatch):  # `Timeout` is an OSError
            lock.acquire(timeout=GRACE_SECONDS)  # succeeds if the owner was a process of this machine that died
            lock.release()
            return ""
    return _describe_owner(lock)


def _lock_of(folder: Path) -> SoftFileLease:
    """The lock of a directory: while it is held, always the same object, which makes it reentrant."""
    return SoftFileLease(
        folder / LOCK_FILE,
        lease_duration=LEASE_SECONDS,
        heartbeat_interval=HEARTBEAT_SECONDS,
        poll_interval=GRACE_SECONDS / 5,
        is_singleton=True,
    )


def _acquire(lock: SoftFileLease, folder: Path) -> None:
    """Acquire the lock. Raises `DirLocked`, or `UserError` if the directory is not writable."""
    timeout = GRACE_SECONDS
    if not lock.is_locked and (silence := _seconds_without_heartbeat(folder)) > LEASE_SECONDS:
        if lock.owner is None:  # its process was killed before it wrote its name; filelock may wait for that forever
            with suppress(OSError):
                (folder / LOCK_FILE).unlink()
        else:
            # Clocks of machines differ, so filelock takes over a lock only after it has watched it for the whole lease.
            timeout += LEASE_SECONDS
            warn_user(
                f"{folder} was locked by {_describe_owner(lock)}, without a heartbeat for {silence:.0f} s; the lock "
                f"is taken over in {LEASE_SECONDS:.0f} s unless there is one"
            )
    for _ in range(100):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=timeout)
            return
        except Timeout:
            break
        except LeaseSettingsMismatch:  # damaged, or written by a version with another lease
            file = folder / LOCK_FILE
            raise DirLocked(
                f"{file} is damaged or of another version; delete it if no other process works in that folder"
            ) from None
        except (FileNotFoundError, FileExistsError):  # the previous owner removed the empty directory meanwhile
            if os.path.lexists(folder) and not folder.is_dir():
                raise UserError(f"cannot write to {folder}: it is a file; choose another folder with --out") from None
        except OSError as error:
            raise UserError(
                f"cannot write to {folder}: {os_reason(error)}; choose another folder with --out"
            ) from error
    who = _describe_owner(lock)
    raise DirLocked(f"{folder} is in use by {who}; wait for it, or choose another folder with --out")


def _describe_owner(lock: SoftFileLease) -> str:
    owner = lock.owner
    return f"process {owner.pid} on {owner.hostname.partition('?')[0]}" if owner else "another process"


def _seconds_without_heartbeat(folder: Path) -> float:
    """Age of the lock file; 0 without one."""
    try:
        return time.time() - (folder / LOCK_FILE).lstat().st_mtime
    except OSError:
        return 0.0


@contextmanager
def lock_file(file: Path | None) -> Iterator[bool]:
    """Hold the lock of a file within the block, whose value says whether it is held: not for None, and not if the file
    system supports no locks. Other processes wait."""
    lock = None
    if file is not None:
        with suppress(OSError, NotImplementedError):
            file.parent.mkdir(parents=True, exist_ok=True)
            wanted = FileLock(file.with_suffix(".lock"))
            wanted.acquire()
            lock = wanted
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()
