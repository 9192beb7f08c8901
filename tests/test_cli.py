"""The front door: which command, how it ends, and what stands on which stream."""

import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import cliptune
from cliptune import cli as front
from cliptune import commands
from cliptune.errors import UserError

#: Flags that the help of each command must show.
FLAGS = {
    "demo": ["--out", "--seeds", "--shots"],
    "train": [
        "--data",
        "--backbone",
        "--pretrained",
        "--shots",
        "--seed",
        "--out",
        "--preset",
        "--training.epochs",
        "--training.lr",
    ],
    "evaluate": ["--data"],
    "predict": ["--top-k", "--classes", "--json"],
    "run": ["--methods", "--seeds", "--data", "--backbone", "--shots", "--out"],
    "background": ["--data", "--masks-from", "--images", "--format", "--test", "--root"],
    "report": ["--out", "--pictures", "--images"],
    "import": ["--method", "--backbone", "--classes", "--out", "--words", "--swapped"],
    "data": ["list", "check", "download", "show"],
    "masks": ["check", "make"],
    "results": ["table", "published", "import", "export"],
    "list": ["methods", "backbones", "data"],
}


@pytest.mark.parametrize("ask", [(), ("--help",), ("-h",), ("help",)])
def test_help_names_every_command(cli, ask):
    said = cli(*ask)
    assert said.code == 0 and said.err == ""
    assert all(f"  {command} " in said.out for command in front.COMMANDS)


@pytest.mark.parametrize("ask", ["--help", "-h"])
@pytest.mark.parametrize("command", front.COMMANDS)
def test_every_command_explains_itself(cli, command, ask):
    said = cli(command, ask)
    assert said.code == 0 and said.err == ""
    assert [flag for flag in FLAGS[command] if flag not in said.out] == []


@pytest.mark.parametrize(
    "method, flag", [("coop", "--method.n-ctx"), ("maple", "--method.depth"), ("coop+dapt", "--method.base.n-ctx")]
)
def test_the_help_of_train_is_the_methods(cli, method, flag):
    said = cli("train", method, "--help")
    assert said.code == 0 and flag in said.out


def test_the_help_of_train_shows_the_values_of_what_is_named_beside_it(cli):
    def default(said, flag):
        text = " ".join(said.out.replace("│", " ").split())
        return text.partition(f"{flag} ")[2].partition("(default: ")[2].partition(")")[0]

    said = cli("train", "coop", "--backbone", "ViT-B-16", "--protocol", "base-to-novel", "--help")
    assert "those of coop on data emoji, backbone ViT-B-16, protocol base-to-novel and 16 shots" in said.out
    assert default(said, "--training.epochs") == "200" and default(said, "--method.words") == "'a photo of a'"
    said = cli("train", "coop", "--help", "--backbone", "ViT-B-16", "--shots", 1)
    assert default(said, "--training.epochs") == "50" and default(said, "--method.words") == "''"
    assert "those of maple+dapt on data emoji, backbone tiny" in cli("train", "--help").out


@pytest.mark.parametrize("command", [c for c in front.COMMANDS if c not in ("data", "masks", "results", "list")])
def test_help_is_broken_into_lines_once(cli, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.strip("│ ") for line in cli(command, "--help").out.splitlines() if line.startswith("│   ")]
    gaps = [
        f"{line} / {after}" for line, after in zip(lines, lines[1:], strict=False)
        if after[:1].islower() and len(line) + 1 + len(after.split()[0]) <= 48 and not after.startswith("(default")
    ]  # fmt: skip
    assert gaps == []


def test_help_after_a_name(cli):
    for arguments in (("evaluate", "runs/x"), ("predict", "runs/x"), ("report", "runs"), ("run", "base-to-novel")):
        said = cli(*arguments, "--help")
        assert said.code == 0 and "usage: " in said.out, said


def test_every_command_has_its_function():
    for command in front.COMMANDS:
        assert callable(commands.get(command))


def test_version(cli):
    assert cli("--version").out == f"cliptune {cliptune.__version__}\n"


def test_an_unknown_command(cli):
    said = cli("tran", "coop")
    assert (said.code, said.out, said.err) == (2, "", "cliptune: unknown command 'tran'; did you mean 'train'?\n")
    assert "there are demo, train" in cli("xyz").err


def test_a_mistake_is_one_line_however_long(cli, monkeypatch):
    message = "a [bold]mistake[/bold] " + "of many words " * 30 + "at /a/very/long/" + "path/" * 40

    def fail(command):
        raise UserError(message)

    monkeypatch.setattr(commands, "get", fail)
    said = cli("demo")
    assert said.code == 2 and said.err == f"cliptune: {message}\n"


def test_an_interruption_says_how_to_go_on(cli, monkeypatch):
    def stop(command):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "get", stop)
    said = cli("demo")
    assert said.code == 130 and "the same command goes on where it stopped" in said.err


def test_warnings_are_notes(cli, monkeypatch):
    monkeypatch.setattr(commands, "get", lambda command: lambda arguments: warnings.warn("mind [this]", stacklevel=1))
    said = cli("demo")
    assert (said.code, said.out, said.err) == (0, "", "note: mind [this]\n")


@pytest.mark.parametrize(
    "error, said",
    [
        (
            ZeroDivisionError("division by [b]zero[/b]\nhere"),
            "unexpected ZeroDivisionError: division by [b]zero[/b] here",
        ),
        (RecursionError("maximum recursion depth exceeded"), "unexpected RecursionError: maximum"),
        (KeyError("x" * 900), "unexpected KeyError: 'xxx"),
        (MemoryError(), "this machine has too little memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"), "too little memory"),
    ],
)
def test_a_fault_of_ours_is_a_sentence_and_a_file(cli, monkeypatch, cache_folder, error, said):
    def fail(arguments):
        raise error

    monkeypatch.setattr(commands, "get", lambda command: fail)
    ended = cli("demo", "--out", "somewhere")
    assert ended.code == 1 and ended.err.count("\n") == 1 and said in ended.err and len(ended.err) < 600
    file = Path(ended.err.strip().rpartition("the traceback is in ")[2])
    text = file.read_text()
    assert file.is_relative_to(cache_folder)
    assert "cliptune demo --out somewhere" in text and "Traceback" in text and type(error).__name__ in text


def test_a_traceback_goes_elsewhere_where_the_cache_cannot_be_written(cli, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLIPTUNE_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(commands, "get", lambda command: lambda arguments: 1 / 0)
    file = Path(cli("demo").err.strip().rpartition("the traceback is in ")[2])
    assert "ZeroDivisionError" in file.read_text()
    file.unlink()


@pytest.mark.parametrize(
    "error, said",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "file name too long"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "'/a' cannot be read or written: permission denied"),
    ],
)
def test_what_the_system_refuses_is_a_sentence(cli, monkeypatch, error, said):
    def fail(arguments):
        raise error

    monkeypatch.setattr(commands, "get", lambda command: fail)
    ended = cli("demo")
    assert ended.code == 2 and ended.err.count("\n") == 1 and said in ended.err and len(ended.err) < 300


def test_warnings_are_told_as_before_afterwards(cli):
    before = warnings.showwarning
    cli("--version")
    cli("nope")
    assert warnings.showwarning is before


@pytest.mark.parametrize(
    "kind, some",
    [
        ("methods", ["zeroshot", "coop", "maple", "METHOD+dapt"]),
        ("data", ["emoji", "folder"]),
        ("backbones", ["tiny", "ViT-B-16", "openai"]),
    ],
)
def test_lists_have_a_line_each(cli, kind, some):
    said = cli("list", kind)
    lines = said.out.splitlines()
    assert said.code == 0 and said.err == "" and len(lines) >= len(some) - 1
    assert all(len(line.split()) > 1 for line in lines)
    starts = [line.split()[0] for line in lines]
    assert len(starts) == len(set(starts))
    assert all(word in said.out for word in some)


@pytest.mark.parametrize(
    "arguments, got", [((), "nothing"), (("method",), "method"), (("methods", "data"), "methods data")]
)
def test_lists_that_are_none(cli, arguments, got):
    said = cli("list", *arguments)
    assert said.code == 2 and said.err == f"cliptune: list takes one of methods, backbones, data, got {got}\n"


def run(*arguments, env=None, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(cliptune.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-m", "cliptune", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, **(env or {})},
        timeout=300,
        **{"stdout": subprocess.PIPE, **more},
    )


def test_a_real_process_ends_with_a_sentence_and_two(tmp_path):
    done = run("train", "mapel", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cliptune: unknown method 'mapel'; nearest: maple") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_real_process_trains_and_predicts(tmp_path, photos):
    done = run("train", "coop", "--data", f"folder:{photos}", "--shots", 2, "--epochs", 1, "--out", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("test ") and "Traceback" not in done.stderr
    done = run("predict", "r", photos / "cat" / "0.png", "--json", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith('{"picture": ')
    assert (
        done.stderr.startswith("note: the bundled tiny backbone knows drawings only") and done.stderr.count("\n") == 1
    )


def test_a_reader_that_leaves_early(tmp_path):
    command = f"{sys.executable} -m cliptune list backbones | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=300)
    assert done.stdout.startswith("tiny") and done.stderr == ""


def test_a_full_output_is_a_sentence():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        for arguments in (("list", "methods"), ("--help",), ("train", "--help")):
            done = run(*arguments, stdout=full)
            assert done.returncode == 2 and "no space left on device" in done.stderr, done.stderr
            assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "2>&-"])
def test_closed_streams(closed):
    command = f"{sys.executable} -m cliptune --version {closed}"
    env = {**os.environ, "PYTHONPATH": str(Path(cliptune.__file__).parents[1])}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == (0 if closed == "2>&-" else 2)
    said = "cliptune: standard output is closed; send it to a file, or to /dev/null\n"
    assert done.stderr == (said if closed == ">&-" else "")


@pytest.mark.parametrize(
    "argument, said",
    [
        ("a\0b", "has a NUL character"),
        ("caf\udce9", "is not UTF-8; rename the file or folder"),
        ("~nosuchuser/x", "there is no user 'nosuchuser'"),
        ("folder:~nosuchuser", "there is no user 'nosuchuser'"),
        ("--out=~nosuchuser/x", "there is no user 'nosuchuser'"),
    ],
)
def test_arguments_that_nothing_could_take(cli, argument, said):
    ended = cli("train", "coop", "--data", argument)
    assert (ended.code, ended.out) == (2, "") and said in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize("name", ["LOCAL_RANK", "RANK", "WORLD_SIZE", "OMP_NUM_THREADS"])
def test_variables_that_are_no_numbers(cli, monkeypatch, name):
    monkeypatch.setenv(name, "x")
    said = cli("list", "data")
    assert (said.code, said.out) == (2, "")
    assert said.err == f"cliptune: the environment variable {name} is a whole number, not 'x'; unset it\n"
