"""The example scripts run unchanged in an empty folder, and the notebooks cell by cell."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = "emoji:classes=validation,test_per_class=1,train_per_class=2"
#: Script -> its arguments and the last line it prints.
SCRIPTS = {
    "own_images": ([SMALL, "--shots", "1", "--epochs", "1"], "among three classes: ("),
    "base_to_novel": (["--methods", "zeroshot", "tip_adapter", "--data", SMALL, "--seeds", "1"], "| tip_adapter |"),
    "own_method": (["--data", SMALL, "--shots", "1", "--epochs", "2"], "accuracy: "),
    "masks": ([SMALL, "--classes", "2", "--per-class", "2"], "saved masks.png"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name, monkeypatch, capsys):
    arguments, last = SCRIPTS[name]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert last in capsys.readouterr().out


@pytest.mark.parametrize("notebook", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks(notebook):
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    assert cells and not any(cell.get("outputs") for cell in content["cells"]), "notebooks are stored without outputs"
    names: dict = {"__name__": "notebook"}
    for cell in cells:
        exec(compile(cell, str(notebook), "exec"), names)


def test_every_script_is_run():
    assert sorted(SCRIPTS) == sorted(path.stem for path in EXAMPLES.glob("*.py"))
