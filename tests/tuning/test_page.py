"""The commands and the Python example of docs/tune.md, in a folder with images."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import cliptune as ct

PAGE = (Path(__file__).parents[2] / "docs" / "tune.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:.*images are few", "ignore:with .* training images, an epoch")
def test_the_page(cli, photos, tmp_path, monkeypatch, capsys):
    shutil.copytree(photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    real = ct.tune

    def briefly(*args, **options):  # the rest is the same for more trials
        return real(*args, **{**options, "trials": 3})

    monkeypatch.setattr(ct, "tune", briefly, raising=False)
    for language, block in re.findall(r"```(bash|python)\n(.*?)```", PAGE, re.DOTALL):
        if language == "python":
            shutil.rmtree("search")
            exec(compile(block, "tune.md", "exec"), {})
        for line in block.splitlines() * (language == "bash"):
            words = shlex.split(line.replace("--trials 20", "--trials 3"))[1:]
            result = cli(*words)
            assert result.code == 0, result.err
    assert "'epochs': " in capsys.readouterr().out and (tmp_path / "search" / "report.html").is_file()
