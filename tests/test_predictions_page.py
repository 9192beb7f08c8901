"""The commands and the Python example of docs/predictions.md, in a folder with images."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "predictions.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore:the temperature is")
def test_the_page(cli, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    shutil.copytree(photos, "photos")
    assert [kind for kind, _ in BLOCKS] == ["bash", "python", "bash"]
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "predictions.md", "exec"), {})
            continue
        for line in block.splitlines():
            words = shlex.split(line)[1:]
            result = cli(*words, *(["--epochs", "1"] if words[0] == "train" else []))
            assert result.code == 0, (line, result.err)
    assert Path("predictions.csv").read_text().count("\n") == 25
    assert {path.name for path in Path("runs").iterdir()} == {"seed1", "seed2", "report.html"}
