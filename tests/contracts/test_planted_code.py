"""A file never has code run: names of methods and selectors in it are those of the house, unless the caller opts in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import cliptune as ct
from cliptune import config, run_dir
from cliptune.engine import checkpoint

EVIL = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
NAME = "planted_evil:Evil"


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("run")
    ct.train("coop", data=f"folder:{photos}", shots=1, epochs=1, out=folder)
    return folder


@pytest.fixture
def planted(run, tmp_path, monkeypatch):
    """A function that writes a run whose header names code, with that code beside it; the folder is current."""

    def make(change):
        tensors, about = checkpoint.read_checkpoint(run / run_dir.CHECKPOINT)
        change(about["config"])
        checkpoint.write_checkpoint(tmp_path / run_dir.CHECKPOINT, tensors, about)
        (tmp_path / run_dir.CONFIG).write_text(yaml.safe_dump(about["config"]))
        for module in ("planted_evil", "torchvision", "yaml", "PIL"):
            (tmp_path / f"{module}.py").write_text(EVIL)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    yield make
    assert not (tmp_path / "ran").exists(), "code beside the file was run"


def method(held):
    held["method"]["name"] = NAME


def base(held):
    held["method"] = {"name": "dapt", "base": {"name": NAME}}


def selector(held):
    held.update(selector=f"{NAME},measure=entropy", fraction=0.5)


@pytest.mark.parametrize("change", [method, base, selector])
def test_a_name_in_a_header_imports_nothing(planted, cli, photos, change):
    folder = planted(change)
    said = rf"'{NAME}' is code outside of cliptune, .*--allow-code"
    with pytest.raises(ct.UserError, match=said):
        ct.load(folder)
    image = str(photos / "cat" / "0.png")
    for command in (("predict", ".", image), ("evaluate", "."), ("background", ".")):
        refused = cli(*command)
        assert refused.code == 2 and "--allow-code" in refused.err and refused.out == ""
        assert len([line for line in refused.err.splitlines() if not line.startswith("note: ")]) == 1


def test_a_planted_configuration_is_another_one(planted, photos):
    folder = planted(method)
    assert not run_dir.has_config(folder, config.RunConfig(config.methods.build("coop"), data=f"folder:{photos}"))
    with pytest.raises(ct.UserError, match="holds a run of another configuration"):
        ct.train("coop", data=f"folder:{photos}", shots=1, epochs=1, out=folder)


def test_the_module_on_the_command_line_does_not_look_beside_data(planted, photos):
    """`python -m cliptune` in a folder with a yaml.py of someone's."""
    folder = planted(method)
    paths = os.pathsep.join([str(Path(ct.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "cliptune", "predict", ".", str(photos / "cat" / "0.png")]
    said = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths.rstrip(os.pathsep)}
    )
    assert (said.returncode, said.stdout) == (2, "") and NAME in said.stderr and "Traceback" not in said.stderr


def test_what_is_typed_may_come_from_the_current_folder(tmp_path, monkeypatch, cli, photos):
    """So `cliptune train offset:Offset` finds offset.py, and goes on with it after a kill."""
    code = "from cliptune.methods.coop import CoOp\n\nclass Mine(CoOp):\n    pass\n"
    (tmp_path / "typed_method.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    flags = ("--data", f"folder:{photos}", "--shots", 1, "--epochs", 1, "--out", tmp_path / "run")
    first, again = (cli("train", "typed_method:Mine", *flags) for _ in range(2))
    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert cli("predict", tmp_path / "run", photos / "cat" / "0.png").code == 2
    assert cli("evaluate", tmp_path / "run", "--allow-code").out == first.out
    assert cli("report", tmp_path / "run", "--pictures", 1, "--allow-code").code == 0


@pytest.mark.parametrize("body", ["1 / 0", "raise SystemError('broken')", "this is no Python"])
def test_a_module_that_fails_is_said_in_a_sentence(tmp_path, monkeypatch, cli, body):
    (tmp_path / "failing_method.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    result = cli("train", "failing_method:Mine", "--out", tmp_path / "run")
    assert result.code == 2 and "method 'failing_method:Mine' cannot be imported: " in result.err
