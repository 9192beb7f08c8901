"""The commands and the Python example of docs/logging.md, in a folder with images."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "logging.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore:the images have no masks", "ignore:cached_views=1")
def test_the_page(cli, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photos, "photos")
    assert [kind for kind, _ in BLOCKS] == ["bash", "python"]
    for line in BLOCKS[0][1].splitlines():
        result = cli(*shlex.split(line)[1:], "--epochs", 1)
        assert result.code == 0, (line, result.err)
    assert Path("my-model/log.csv").is_file() and len([*Path("runs").rglob("log.csv")]) == 2
    exec(compile(BLOCKS[1][1], "logging.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "coop, seed 1, lr " in printed and "epoch 1: loss " in printed and "accuracy " in printed
    assert "cat: cat/" in printed
