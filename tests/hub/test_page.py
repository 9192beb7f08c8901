"""The commands and the Python example of docs/hub.md, against a server on this machine."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from hub_server import hub_server  # noqa: F401

PAGE = (Path(__file__).parents[2] / "docs" / "hub.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("hub_server")
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_the_page(cli, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photos, "photos")
    shutil.copy(photos / "cat" / "0.png", "photo.jpg")
    assert [kind for kind, _ in BLOCKS] == ["bash", "python"]
    for line in BLOCKS[0][1].splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "cliptune":
            result = cli(*words, *(["--epochs", "1", "--shots", "2"] if words[0] == "train" else []))
            assert result.code == 0, (line, result.err)
    exec(compile(BLOCKS[1][1], "hub.md", "exec"), {})
    assert "/alice/pets/tree/v2\n" in capsys.readouterr().out
