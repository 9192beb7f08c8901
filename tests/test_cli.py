"""The command line's entry point: commands, exit codes, stdout and stderr."""

import os
import warnings

import pytest

import cliptune
from cliptune import commands
from cliptune.errors import UserError

#: Flags that each command's help must show.
FLAGS = {
    "demo": ["--photos", "--out", "--seeds", "--shots", "--masks-from", "--backbone"],
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
    "export": ["--out", "--allow-code"],
    "push": ["--private", "--revision", "--allow-code"],
    "app": ["--host", "--port", "--corrections", "--allow-code"],
    "serve": ["--host", "--port", "--max-batch", "--allow-code"],
    "auto": ["--data", "--time-limit", "--methods", "--folds", "--out"],
    "tune": ["--data", "--space", "--trials", "--processes", "--out"],
    "run": ["--methods", "--seeds", "--data", "--backbone", "--shots", "--out"],
    "background": ["--data", "--masks-from", "--images", "--format", "--test", "--root"],
    "report": ["--out", "--pictures", "--images"],
    "import": ["--method", "--backbone", "--classes", "--out", "--words", "--swapped"],
    "data": ["list", "check", "download", "show"],
    "masks": ["check", "make"],
    "results": ["table", "published", "import"],
    "list": ["methods", "backbones", "data"],
}


@pytest.mark.parametrize("ask", [(), ("--help",), ("-h",), ("help",)])
def test_help_names_every_command(cli, ask):
    result = cli(*ask)
    assert result.code == 0 and result.err == ""
    assert all(f"  {command} " in result.out for command in commands.COMMANDS)


@pytest.mark.parametrize("ask", ["--help", "-h"])
@pytest.mark.parametrize("command", commands.COMMANDS)
def test_every_command_has_help(cli, command, ask):
    result = cli(command, ask)
    assert result.code == 0 and result.err == ""
    assert [flag for flag in FLAGS[command] if flag not in result.out] == []


@pytest.mark.parametrize(
    "method, flag", [("coop", "--method.n-ctx"), ("maple", "--method.depth"), ("coop+dapt", "--method.base.n-ctx")]
)
def test_the_help_of_train_shows_the_methods_flags(cli, method, flag):
    result = cli("train", method, "--help")
    assert result.code == 0 and flag in result.out


def test_the_help_of_train_shows_the_values_of_the_given_options(cli):
    def default(result, flag):
        text = " ".join(result.out.replace("│", " ").split())
        return text.partition(f"{flag} ")[2].partition("(default: ")[2].partition(")")[0]

    result = cli("train", "coop", "--backbone", "ViT-B-16", "--protocol", "base-to-novel", "--help")
    assert "those of coop on data emoji, backbone ViT-B-16, protocol base-to-novel and 16 shots" in result.out
    assert default(result, "--training.epochs") == "200" and default(result, "--method.words") == "'a photo of a'"
    result = cli("train", "coop", "--help", "--backbone", "ViT-B-16", "--shots", 1)
    assert default(result, "--training.epochs") == "50" and default(result, "--method.words") == "''"
    assert "those of maple+dapt on data emoji, backbone tiny" in cli("train", "--help").out


@pytest.mark.parametrize("command", [c for c in commands.COMMANDS if c not in ("data", "masks", "results", "list")])
def test_help_is_wrapped_once(cli, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.strip("│ ") for line in cli(command, "--help").out.splitlines() if line.startswith("│   ")]
    gaps = [
        f"{line} / {after}" for line, after in zip(lines, lines[1:], strict=False)
        if after[:1].islower() and len(line) + 1 + len(after.split()[0]) <= 48 and not after.startswith("(default")
    ]  # fmt: skip
    assert gaps == []


def test_help_flag_after_a_name(cli):
    for arguments in (("evaluate", "runs/x"), ("predict", "runs/x"), ("report", "runs"), ("run", "base-to-novel")):
        result = cli(*arguments, "--help")
        assert result.code == 0 and "usage: " in result.out, result


def test_every_command_has_its_function():
    for command in commands.COMMANDS:
        assert callable(commands.get(command))


def test_version(cli):
    assert cli("--version").out == f"cliptune {cliptune.__version__}\n"


def test_an_unknown_command(cli):
    result = cli("tran", "coop")
    assert (result.code, result.out, result.err) == (2, "", "cliptune: unknown command 'tran'; nearest: train\n")
    assert "known: app, auto, background, data, demo" in cli("xyz").err


def test_a_long_error_message_is_one_line(cli, monkeypatch):
    message = "a [bold]mistake[/bold] " + "of many words " * 30 + "at /a/very/long/" + "path/" * 40

    def fail(command):
        raise UserError(message)

    monkeypatch.setattr(commands, "get", fail)
    result = cli("demo")
    assert result.code == 2 and result.err == f"cliptune: {message}\n"


def test_the_message_of_an_interrupt_explains_how_to_resume(cli, monkeypatch):
    def stop(command):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "get", stop)
    result = cli("demo")
    assert result.code == 130 and "run the same command again" in result.err


def test_warnings_are_printed_as_notes(cli, monkeypatch):
    monkeypatch.setattr(commands, "get", lambda command: lambda arguments: warnings.warn("mind [this]", stacklevel=1))
    result = cli("demo")
    assert (result.code, result.out, result.err) == (0, "", "note: mind [this]\n")


@pytest.mark.parametrize(
    "kind, some",
    [
        ("methods", ["zeroshot", "coop", "maple", "METHOD+dapt"]),
        ("data", ["emoji", "folder"]),
        ("backbones", ["tiny", "ViT-B-16", "openai"]),
    ],
)
def test_lists_have_one_line_per_entry(cli, kind, some):
    result = cli("list", kind)
    lines = result.out.splitlines()
    assert result.code == 0 and result.err == "" and len(lines) >= len(some) - 1
    assert all(len(line.split()) > 1 for line in lines)
    starts = [line.split()[0] for line in lines]
    assert len(starts) == len(set(starts))
    assert all(word in result.out for word in some)


@pytest.mark.parametrize(
    "arguments, got", [((), "nothing"), (("method",), "method"), (("methods", "data"), "methods data")]
)
def test_unknown_lists_are_refused(cli, arguments, got):
    result = cli("list", *arguments)
    assert result.code == 2 and result.err == f"cliptune: list takes one of methods, backbones, data, got {got}\n"


def test_the_backend_of_a_notebook_is_ignored(cli, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://backend_of_another_environment")
    assert cli("--version").code == 0 and "MPLBACKEND" not in os.environ
