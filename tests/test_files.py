"""A file is written completely or not at all, and a failure is reported in one sentence."""

import errno
import json
import os

import pytest

import damaged_files
from cliptune.errors import UserError
from cliptune.files import (
    atomic_write,
    check_file,
    check_folder,
    read_bytes,
    read_text,
    write_bytes,
    write_json,
    write_text,
)


def test_the_file_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / "result.json"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert not path.exists()
        assert not list(tmp_path.glob("*.json"))
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize("stop", [ValueError, OSError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, stop):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(stop), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise stop
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_block_may_replace_the_temporary_file(tmp_path):
    other = tmp_path / "other"
    other.write_text("new")
    with atomic_write(tmp_path / "a" / "b") as temporary:
        os.replace(other, temporary)
    assert (tmp_path / "a" / "b").read_text() == "new"


def test_data_is_on_disk_before_the_name_changes(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(os.fstat(fd).st_size), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    write_bytes(tmp_path / "a", b"12345")
    assert calls == [5, "replace"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_the_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "a", "")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_only_regular_files_are_read(tmp_path):
    (tmp_path / "text").write_bytes("\ufeffé\r\n".encode())
    assert (
        read_text(tmp_path / "text") == "é\r\n" and read_bytes(tmp_path / "text", most=7) == b"\xef\xbb\xbf\xc3\xa9\r\n"
    )
    with pytest.raises(UserError, match="text: it is larger than 6 bytes"):
        read_bytes(tmp_path / "text", most=6)
    (tmp_path / "bytes").write_bytes(b"ab\xff")
    with pytest.raises(UserError, match="bytes: byte 2 is not UTF-8"):
        read_text(tmp_path / "bytes")
    for place, why in ((tmp_path, "is a directory"), (tmp_path / "none", "no such file"), ("a\0b", "null")):
        with pytest.raises(UserError, match=f"cannot read .*: .*{why}"):
            read_text(place)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        for place in (tmp_path / "pipe", "/dev/zero"):
            with pytest.raises(UserError, match="not a regular file"), damaged_files.time_limit(10):
                read_text(place)


def test_missing_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "é\r\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "é\r\n".encode()


def test_json_is_sorted_exact_and_ends_with_a_newline(tmp_path):
    value = {"b": [0.1, 1 / 3], "a": {"é": None, "Z": 1e-300}}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.index('"a"') < text.index('"b"')
    assert text.index('"Z"') < text.index('"é"')
    assert text.endswith("}\n")


def test_values_that_json_cannot_hold_leave_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert os.listdir(tmp_path) == []


def test_a_path_through_a_file_is_a_user_error(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "result.json"
    with pytest.raises(UserError) as error:
        write_text(path, "x")
    assert str(error.value) == f"cannot write to {path}: not a directory; choose another folder with --out"


def test_a_folder_in_place_of_the_file_is_a_user_error(tmp_path):
    (tmp_path / "result.json").mkdir()
    with pytest.raises(UserError, match="cannot write to .*result.json: .*; choose another folder with --out"):
        write_text(tmp_path / "result.json", "x")
    assert os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize("call", ["pathlib.Path.touch", "os.fsync", "os.replace", "pathlib.Path.write_bytes"])
@pytest.mark.parametrize(
    "code, reason", [(errno.EACCES, "permission denied"), (errno.ENOSPC, "no space left on device")]
)
def test_system_errors_are_one_sentence(tmp_path, monkeypatch, call, code, reason):
    path = tmp_path / "result.json"
    path.write_text("old")

    def forbidden(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:  # undone before pytest writes files of its own
        patch.setattr(call, forbidden)
        with pytest.raises(UserError) as error:
            write_text(path, "new")
    assert str(error.value) == f"cannot write to {path}: {reason}; choose another folder with --out"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize(
    "path, message",
    [
        ("/", "is the root"),
        ("/dev/null", "not a directory"),
        ("{file}", "not a directory"),
        ("{file}/x", "not a directory"),
        ("x" * 300, "name too long"),
        ("y/" * 2500, "name too long"),
    ],
)
def test_unwritable_folders_are_refused(tmp_path, path, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        check_folder(tmp_path / path.replace("{file}", "file"))
    check_folder(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "path, message",
    [("/dev/null", "is a device"), ("{file}/x", "not a directory"), ("", "is a folder|directory")],
)
def test_unwritable_files_are_refused(tmp_path, path, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        check_file(tmp_path / path.replace("{file}", "file"))
    with pytest.raises(UserError, match=message):
        write_text(tmp_path / path.replace("{file}", "file"), "text")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
