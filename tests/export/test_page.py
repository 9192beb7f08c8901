"""The Python and the commands of docs/export.md run in a folder with photos."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cliptune.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.mark.filterwarnings("ignore:the images have no masks", "ignore:.*fewer than")
def test_python_of_the_page_runs(photos, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxscript")
    (tmp_path / "photos").symlink_to(photos)
    Image.open(photos / "cat" / "0.png").convert("RGB").resize((120, 90)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    name, _ = names["run"].predict("photo.jpg")
    assert capsys.readouterr().out.splitlines()[-1] == name
    assert names["logits"][0] == pytest.approx(names["run"].logits("photo.jpg")[0].numpy(), abs=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_commands_of_the_page_lead_from_photos_to_an_answer(photos, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    (tmp_path / "photos").symlink_to(photos)
    Image.open(photos / "cat" / "0.png").convert("RGB").save(tmp_path / "new.jpg")
    monkeypatch.chdir(tmp_path)
    block = re.findall(r"```bash\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert [command[0] for command in commands] == ["pip", "cliptune", "cliptune", "cliptune", "cliptune", "python"]
    for command in commands[1:-1]:
        main(command[1:])
    done = subprocess.run([sys.executable, *commands[-1][1:]], capture_output=True, text=True, check=True)
    name, answer, probability = done.stdout.strip().split("\t")
    assert (name, answer) == ("new.jpg", "cat") and 0.5 < float(probability) <= 1
