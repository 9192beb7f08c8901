"""The commands and the Python example of docs/auto.md, in a folder with images."""

import re
import shlex
import shutil
import sys
from pathlib import Path

from cliptune.selection import candidates

PAGE = (Path(__file__).parents[1] / "docs" / "auto.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page(cli, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setattr(candidates, "DEFAULT_METHODS", ("zeroshot", "tip_adapter"))
    shutil.copytree(photos, "photos")
    assert [kind for kind, _ in BLOCKS] == ["bash", "python"]
    for line in BLOCKS[0][1].splitlines():
        result = cli(*shlex.split(line)[1:])
        assert result.code == 0, (line, result.err)
    exec(compile(BLOCKS[1][1], "auto.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "2 rows" in printed and "'test'" in printed
    assert (Path("best") / "leaderboard.json").is_file()


def test_the_page_names_the_default_methods():
    table = PAGE.partition("## What is compared")[2].partition("\n\n`--methods")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert tuple(re.findall(r"`(\S+)`", " ".join(cells))) == candidates.DEFAULT_METHODS
