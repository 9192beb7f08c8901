"""Flags of nested dataclasses, long and short, and error messages of one sentence."""

import pytest

from cliptune.commands.evaluate import Evaluate
from cliptune.commands.flags import given_fields
from cliptune.commands.parse import parse, parse_known
from cliptune.commands.planning import Sweep
from cliptune.commands.train import Train, preset_run
from cliptune.errors import UserError


def parsed(name, *arguments):
    return parse(Train, f"train {name}", arguments, Train(preset_run(name, []))).run


def test_short_and_long_flags_are_the_same():
    short = ("--epochs", "3", "--pull_push=2", "--n-ctx", "4", "--data", "folder:x", "--no-cache", "--words=-x")
    long = ("--training.epochs", "3", "--method.pull-push", "2", "--method.base.n_ctx", "4", "--data=folder:x")
    long += ("--reading.no-cache", "--method.base.words=-x")
    run = parsed("coop+dapt", *short)
    assert run == parsed("coop+dapt", *long)
    assert (run.training.epochs, run.data, run.reading.cache, run.method.pull_push) == (3, "folder:x", False, 2)
    assert (run.method.base.n_ctx, run.method.base.words) == (4, "-x")


@pytest.mark.parametrize("name", ["clip_adapter+dapt", "maple+dapt+copypaste", "coop+copypaste+dapt"])
def test_a_shared_field_name_sets_the_outermost_field(name):
    field, outer, inner = (
        ("compat", "release", "paper") if name == "clip_adapter+dapt" else ("masks_from", "grid", "full")
    )
    run = parsed(name, f"--{field}", outer, f"--method.base.{field}", inner)
    assert (getattr(run.method, field), getattr(run.method.base, field)) == (outer, inner)
    assert getattr(parsed(name, f"--method.{field}", outer).method, field) == outer


def test_flags_set_fields():
    run = Train(preset_run("clip_adapter+dapt", []))
    words = ("--compat", "paper", "--method.base.compat=paper", "--no-cache", "--lr", "-1", "--out", "--nothing")
    paths = ["method.compat", "method.base.compat", "reading.cache", "training.lr", "out"]
    assert given_fields(Train, words, run) == paths


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (("--base.words", "-x"), "unknown option --base.words"),
        (("--n_cxt", "3"), "unknown option --n_cxt; nearest: --n-ctx"),
        (("--training.lrr", "3"), "unknown option --training.lrr; nearest: --training.lr"),
        (("--training.n-ctx", "3"), "unknown option --training.n-ctx"),
        (("--shots", "1", "2"), "unexpected argument '2'"),
        (("--shots",), "Missing value for argument '--shots'"),
        (("--shots", "many"), "Error parsing --shots: .*'many'"),
        (("--position", "left"), "invalid choice 'left' for .*--position.*'end', 'middle', 'front'"),
        (("--training.lr", "fast"), "Error parsing .*--training.lr.*'fast'"),
        (("--lr", "-1"), "^lr must be positive, got -1.0$"),
    ],
)
def test_mistakes_are_one_sentence(arguments, reason, capsys):
    with pytest.raises(UserError, match=reason) as raised:
        parsed("coop", *arguments)
    assert "\n" not in str(raised.value) and "  " not in str(raised.value)
    assert "lr must" in reason or "cliptune train coop --help lists the options" in str(raised.value)
    assert capsys.readouterr() == ("", "")


def test_long_words_in_a_message_are_not_broken(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(UserError, match=f"Error parsing --shots: .*{'long' * 40}"):
        parsed("coop", "--shots", "long" * 40)


def test_unknown_flags_are_returned():
    options, flags = parse_known(Sweep, "run few-shot", ["--lr", "-1", "--seeds", "1", "2", "--words=a", "--instead"])
    assert options.seeds == (1, 2) and [flag.words for flag in flags] == [
        ("--lr", "-1"),
        ("--words=a",),
        ("--instead",),
    ]
    assert [flag.name for flag in flags] == ["--lr", "--words", "--instead"]


def test_a_command_of_one_level():
    assert parse(Evaluate, "evaluate RUN", ["--root", "x", "--no-cache"]).reading.root == "x"
    with pytest.raises(UserError, match="unknown option --dat; nearest: --data.*; cliptune evaluate RUN --help"):
        parse(Evaluate, "evaluate RUN", ["--dat", "x"])
