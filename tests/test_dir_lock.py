"""Locks on run directories: living owners keep them, dead ones lose them."""

import os
import subprocess
import sys
import threading
import time

import pytest
from filelock import SoftFileLease

from cliptune import dir_lock
from cliptune.dir_lock import LOCK_FILE, DirLocked, lock_dir, lock_owner
from cliptune.errors import UserError

OTHER = "filelock/2\npid=77\nhost=far?pidns-f0\nmode=lease\ntoken=1\nduration={}\n"


@pytest.fixture
def short_lease(monkeypatch):
    """Leases of 0.6 s."""
    monkeypatch.setattr(dir_lock, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(dir_lock, "HEARTBEAT_SECONDS", 0.05)


@pytest.fixture
def leave(tmp_path):
    """Write the lock file of a process on another machine; its last heartbeat was `age` seconds ago."""

    def write(age=0.0, content=OTHER):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        (folder / LOCK_FILE).write_text(content.replace("{}", str(dir_lock.LEASE_SECONDS)))
        then = time.time() - age
        os.utime(folder / LOCK_FILE, (then, then))
        return folder

    return write


def test_lock_and_release(tmp_path):
    folder = tmp_path / "a" / "run"
    with lock_dir(folder):
        assert lock_owner(folder).startswith(f"process {os.getpid()} on ")
        with lock_dir(folder):
            pass
        assert (folder / LOCK_FILE).is_file()
    assert not (tmp_path / "a").exists() and lock_owner(folder) == ""


def test_files_in_the_directory_are_kept(tmp_path):
    with lock_dir(tmp_path):
        (tmp_path / "result").touch()
    assert os.listdir(tmp_path) == ["result"]


def test_no_directory():
    with lock_dir(None):
        pass


def test_a_living_owner_on_another_machine_keeps_its_lock(leave):
    folder = leave(age=30)
    assert lock_owner(folder) == "process 77 on far"
    with pytest.raises(DirLocked, match="is in use by process 77 on far; wait for it, .* --out"):
        with lock_dir(folder):
            pass
    assert os.listdir(folder) == [LOCK_FILE]


def test_a_lock_without_heartbeat_is_taken_over(leave, short_lease):
    folder = leave(age=90)
    assert lock_owner(folder) == ""
    with pytest.warns(UserWarning, match="process 77 on far, without a heartbeat for 90 s"), lock_dir(folder):
        assert SoftFileLease(folder / LOCK_FILE).owner.pid == os.getpid()


def test_a_late_heartbeat_keeps_the_lock(leave, short_lease):
    folder = leave(age=90)
    beat = threading.Timer(0.3, os.utime, (folder / LOCK_FILE,))
    beat.start()
    with pytest.warns(UserWarning), pytest.raises(DirLocked, match="process 77"), lock_dir(folder):
        pass
    beat.join()


def test_the_lock_of_a_killed_local_process_is_taken_over_at_once(tmp_path):
    code = "import os, pathlib, sys; from cliptune.dir_lock import lock_dir\n"
    code += "with lock_dir(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    for name in ("asked", "locked"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)])
        assert os.listdir(tmp_path / name) == [LOCK_FILE]
    assert lock_owner(tmp_path / "asked") == ""
    with lock_dir(tmp_path / "locked"):
        pass


@pytest.mark.parametrize("content", ["", "{", '{"process": 1}'])
def test_a_truncated_lock_file_is_judged_by_its_age(leave, content):
    folder = leave(content=content)
    with pytest.raises(DirLocked, match="by another process; wait"), lock_dir(folder):
        pass
    os.utime(folder / LOCK_FILE, (1, 1))
    assert lock_owner(folder) == ""
    with lock_dir(folder):
        pass


def test_heartbeats(tmp_path, short_lease):
    with lock_dir(tmp_path):
        os.utime(tmp_path / LOCK_FILE, (1, 1))
        until = time.monotonic() + 10
        while (tmp_path / LOCK_FILE).stat().st_mtime < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert (tmp_path / LOCK_FILE).stat().st_mtime > 2


def test_a_lost_lock_is_left_to_its_new_owner(tmp_path):
    with lock_dir(tmp_path):
        (tmp_path / LOCK_FILE).unlink()
        (tmp_path / LOCK_FILE).write_text("another owner")
    assert (tmp_path / LOCK_FILE).read_text() == "another owner"


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match="cannot write to .*run"), lock_dir(tmp_path / "run"):
        pass


def test_one_of_many_contenders_gets_the_lock(tmp_path):
    """Threads take the place of processes."""
    inside, most, failed, start = [], [], [], threading.Barrier(8)

    def contend(i):
        start.wait()
        for _ in range(20):
            try:
                with lock_dir(tmp_path / "run"):
                    inside.append(i)
                    most.append(len(inside))
                    time.sleep(0.001)
                    inside.remove(i)
            except DirLocked:
                time.sleep(0.001)
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=contend, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and most and max(most) == 1
