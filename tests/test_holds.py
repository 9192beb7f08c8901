"""A folder held by one process at a time; dead holders give way, living ones do not."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from cliptune import holds
from cliptune.errors import UserError
from cliptune.holds import NAME, Held, held, holder


@pytest.fixture
def stranger(tmp_path):
    """A function that leaves another process's sign of life in a folder, of so many seconds ago."""

    def leave(age=0.0, **changed):
        about = json.loads(holds._me()) | {"host": "far", "machine": "far/1/2"} | changed
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        (folder / NAME).write_text(json.dumps(about))
        then = time.time() - age
        os.utime(folder / NAME, (then, then))
        return folder

    return leave


def test_held_and_let_go(tmp_path):
    folder = tmp_path / "a" / "run"
    with held(folder):
        assert holder(folder) == f"process {os.getpid()} on {json.loads((folder / NAME).read_text())['host']}"
        with held(folder):  # a process's own work may go on inside
            pass
        assert (folder / NAME).is_file()
    assert not folder.exists() and holder(folder) == ""


def test_what_lies_there_stays(tmp_path):
    with held(tmp_path):
        (tmp_path / "result").touch()
    assert os.listdir(tmp_path) == ["result"]


def test_nothing_is_held_without_a_folder():
    with held(None):
        pass


def test_a_living_holder_elsewhere_is_left_alone(stranger):
    folder = stranger(age=30)
    with pytest.raises(Held, match="is being worked in by process .* on far; wait for it"), held(folder):
        pass
    assert os.listdir(folder) == [NAME]


def test_one_that_gave_no_sign_for_long_gives_way(stranger):
    folder = stranger(age=90)
    assert holder(folder) == ""
    with held(folder):
        assert json.loads((folder / NAME).read_text())["process"] == os.getpid()


def test_a_dead_process_of_this_machine_gives_way_at_once(stranger):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = stranger(machine=holds._machine(), process=gone.pid, began="1")
    with held(folder):
        pass


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="this system does not say when a process began")
def test_a_process_number_used_again_is_another_process(stranger):
    folder = stranger(machine=holds._machine(), process=os.getpid(), began="1")
    with held(folder):
        pass


def test_a_torn_sign_counts_by_its_age(stranger):
    folder = stranger()
    (folder / NAME).write_text("{")
    with pytest.raises(Held, match="is being worked in by another process; wait"), held(folder):
        pass
    os.utime(folder / NAME, (1, 1))
    with held(folder):
        pass


def test_signs_of_life_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(holds, "BEAT", 0.01)
    with held(tmp_path):
        os.utime(tmp_path / NAME, (1, 1))
        until = time.monotonic() + 10
        while (tmp_path / NAME).stat().st_mtime < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert (tmp_path / NAME).stat().st_mtime > 2


def test_who_lost_the_folder_takes_nothing_from_its_new_holder(tmp_path):
    with held(tmp_path):
        (tmp_path / NAME).write_text("another's")
    assert (tmp_path / NAME).read_text() == "another's"


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match="cannot write to"), held(tmp_path / "run"):
        pass


def test_of_many_that_find_a_dead_holder_one_takes_its_place(stranger, monkeypatch):
    folder = stranger(age=90)
    monkeypatch.setattr(holds, "_mine", _Nobodys())  # threads stand for processes
    inside, most, failed, start = [], [], [], threading.Barrier(8)

    def contend(i):
        start.wait()
        for _ in range(20):
            try:
                with held(folder):
                    inside.append(i)
                    most.append(len(inside))
                    time.sleep(0.001)
                    inside.remove(i)
            except Held:
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
