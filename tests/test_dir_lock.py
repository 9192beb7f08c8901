"""A folder held by one process at a time; dead holders give way, living ones do not."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from cliptune import dir_lock
from cliptune.dir_lock import LOCK_FILE, DirLocked, lock_dir, lock_owner
from cliptune.errors import UserError


@pytest.fixture
def stranger(tmp_path):
    """A function that leaves another process's sign of life in a folder, of so many seconds ago."""

    def leave(age=0.0, **changed):
        about = json.loads(dir_lock._me()) | {"host": "far", "machine": "far/1/2"} | changed
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        (folder / LOCK_FILE).write_text(json.dumps(about))
        then = time.time() - age
        os.utime(folder / LOCK_FILE, (then, then))
        return folder

    return leave


def test_held_and_let_go(tmp_path):
    folder = tmp_path / "a" / "run"
    with lock_dir(folder):
        assert lock_owner(folder) == f"process {os.getpid()} on {json.loads((folder / LOCK_FILE).read_text())['host']}"
        with lock_dir(folder):  # a process's own work may go on inside
            pass
        assert (folder / LOCK_FILE).is_file()
    assert not folder.exists() and lock_owner(folder) == ""


def test_what_lies_there_stays(tmp_path):
    with lock_dir(tmp_path):
        (tmp_path / "result").touch()
    assert os.listdir(tmp_path) == ["result"]


def test_nothing_is_held_without_a_folder():
    with lock_dir(None):
        pass


def test_a_living_holder_elsewhere_is_left_alone(stranger):
    folder = stranger(age=30)
    with pytest.raises(DirLocked, match="is being worked in by process .* on far; wait for it"), lock_dir(folder):
        pass
    assert os.listdir(folder) == [LOCK_FILE]


def test_one_that_gave_no_sign_for_long_gives_way(stranger):
    folder = stranger(age=90)
    assert lock_owner(folder) == ""
    with lock_dir(folder):
        assert json.loads((folder / LOCK_FILE).read_text())["process"] == os.getpid()


def test_a_dead_process_of_this_machine_gives_way_at_once(stranger):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = stranger(machine=dir_lock._machine(), process=gone.pid, began="1")
    with lock_dir(folder):
        pass


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="this system does not say when a process began")
def test_a_process_number_used_again_is_another_process(stranger):
    folder = stranger(machine=dir_lock._machine(), process=os.getpid(), began="1")
    with lock_dir(folder):
        pass


def test_a_torn_sign_counts_by_its_age(stranger):
    folder = stranger()
    (folder / LOCK_FILE).write_text("{")
    with pytest.raises(DirLocked, match="is being worked in by another process; wait"), lock_dir(folder):
        pass
    os.utime(folder / LOCK_FILE, (1, 1))
    with lock_dir(folder):
        pass


def test_signs_of_life_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(dir_lock, "BEAT", 0.01)
    with lock_dir(tmp_path):
        os.utime(tmp_path / LOCK_FILE, (1, 1))
        until = time.monotonic() + 10
        while (tmp_path / LOCK_FILE).stat().st_mtime < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert (tmp_path / LOCK_FILE).stat().st_mtime > 2


def test_who_lost_the_folder_takes_nothing_from_its_new_holder(tmp_path):
    with lock_dir(tmp_path):
        (tmp_path / LOCK_FILE).write_text("another's")
    assert (tmp_path / LOCK_FILE).read_text() == "another's"


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match="cannot write to"), lock_dir(tmp_path / "run"):
        pass


def test_of_many_that_find_a_dead_holder_one_takes_its_place(stranger, monkeypatch):
    folder = stranger(age=90)
    monkeypatch.setattr(dir_lock, "_mine", _Nobodys())  # threads stand for processes
    inside, most, failed, start = [], [], [], threading.Barrier(8)

    def contend(i):
        start.wait()
        for _ in range(20):
            try:
                with lock_dir(folder):
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


class _Nobodys(set):
    def __contains__(self, path):
        return False
