"""System errors, unexpected errors, and unusable arguments."""

import errno
import warnings
from pathlib import Path

import pytest

from cliptune import commands


@pytest.mark.parametrize(
    "error, message",
    [
        (
            ZeroDivisionError("division by [b]zero[/b]\nhere"),
            "unexpected ZeroDivisionError: division by [b]zero[/b] here",
        ),
        (RecursionError("maximum recursion depth exceeded"), "unexpected RecursionError: maximum"),
        (KeyError("x" * 900), "unexpected KeyError: 'xxx"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"), "not enough memory"),
    ],
)
def test_an_unexpected_error_is_a_sentence_and_a_traceback_file(cli, monkeypatch, cache_folder, error, message):
    def fail(arguments):
        raise error

    monkeypatch.setattr(commands, "get", lambda command: fail)
    ended = cli("demo", "--out", "somewhere")
    assert ended.code == 1 and ended.err.count("\n") == 1 and message in ended.err and len(ended.err) < 600
    file = Path(ended.err.strip().rpartition("the traceback is in ")[2])
    text = file.read_text()
    assert file.is_relative_to(cache_folder)
    assert "cliptune demo --out somewhere" in text and "Traceback" in text and type(error).__name__ in text


def test_the_traceback_goes_elsewhere_if_the_cache_is_not_writable(cli, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLIPTUNE_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(commands, "get", lambda command: lambda arguments: 1 / 0)
    file = Path(cli("demo").err.strip().rpartition("the traceback is in ")[2])
    assert "ZeroDivisionError" in file.read_text()
    file.unlink()


@pytest.mark.parametrize(
    "error, message",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "file name too long"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "'/a' cannot be read or written: permission denied"),
    ],
)
def test_system_errors_are_one_sentence(cli, monkeypatch, error, message):
    def fail(arguments):
        raise error

    monkeypatch.setattr(commands, "get", lambda command: fail)
    ended = cli("demo")
    assert ended.code == 2 and ended.err.count("\n") == 1 and message in ended.err and len(ended.err) < 300


def test_the_warning_handler_is_restored(cli):
    before = warnings.showwarning
    cli("--version")
    cli("nope")
    assert warnings.showwarning is before


@pytest.mark.parametrize(
    "argument, message",
    [
        ("a\0b", "contains a NUL character"),
        ("caf\udce9", "is not UTF-8; rename the file or folder"),
        ("~nosuchuser/x", "there is no user 'nosuchuser'"),
        ("folder:~nosuchuser", "there is no user 'nosuchuser'"),
        ("--out=~nosuchuser/x", "there is no user 'nosuchuser'"),
    ],
)
def test_unusable_arguments_are_refused(cli, argument, message):
    ended = cli("train", "coop", "--data", argument)
    assert (ended.code, ended.out) == (2, "") and message in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize("name", ["LOCAL_RANK", "RANK", "WORLD_SIZE", "OMP_NUM_THREADS"])
def test_environment_variables_must_be_numbers(cli, monkeypatch, name):
    monkeypatch.setenv(name, "x")
    result = cli("list", "data")
    assert (result.code, result.out) == (2, "")
    assert result.err == f"cliptune: the environment variable {name} must be an integer, got 'x'; unset it\n"
