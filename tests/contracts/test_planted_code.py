"""Files never execute code: names of methods and selectors in them must be built-in, unless the caller opts in."""

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
    """A function that writes a run whose header names code, with that code in the same, current folder."""

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
    assert not (tmp_path / "ran").exists(), "code next to the file was run"


def method(header):
    header["method"]["name"] = NAME


def base(header):
    header["method"] = {"name": "dapt", "base": {"name": NAME}}


def selector(header):
    header.update(selector=f"{NAME},measure=entropy", fraction=0.5)


@pytest.mark.parametrize("change", [method, base, selector])
def test_a_name_in_a_header_imports_nothing(planted, cli, photos, change):
    folder = planted(change)
    message = rf"'{NAME}' is code outside of cliptune, .*--allow-code"
    with pytest.raises(ct.UserError, match=message):
        ct.load(folder)
    image = str(photos / "cat" / "0.png")
    for command in (("predict", ".", image), ("evaluate", "."), ("background", ".")):
        refused = cli(*command)
        assert refused.code == 2 and "--allow-code" in refused.err and refused.out == ""
        assert len([line for line in refused.err.splitlines() if not line.startswith("note: ")]) == 1


def test_a_planted_configuration_is_not_that_of_the_run(planted, photos):
    folder = planted(method)
    assert not run_dir.has_config(folder, config.RunConfig(config.methods.build("coop"), data=f"folder:{photos}"))
    with pytest.raises(ct.UserError, match="contains a run of another configuration"):
        ct.train("coop", data=f"folder:{photos}", shots=1, epochs=1, out=folder)


def test_the_current_folder_is_not_on_the_import_path(planted, photos):
    """`python -m cliptune` in a folder with a foreign yaml.py."""
    folder = planted(method)
    paths = os.pathsep.join([str(Path(ct.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "cliptune", "predict", ".", str(photos / "cat" / "0.png")]
    process = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths.rstrip(os.pathsep)}
    )
    assert (
        (process.returncode, process.stdout) == (2, "") and NAME in process.stderr and "Traceback" not in process.stderr
    )


def test_typed_names_may_come_from_the_current_folder(tmp_path, monkeypatch, cli, photos):
    """`cliptune train offset:Offset` finds offset.py and resumes with it after a kill."""
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
def test_a_failing_module_is_one_sentence(tmp_path, monkeypatch, cli, body):
    (tmp_path / "failing_method.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    result = cli("train", "failing_method:Mine", "--out", tmp_path / "run")
    assert result.code == 2 and "method 'failing_method:Mine' cannot be imported: " in result.err
