"""The Python of docs/sklearn.md, in a folder with images."""

import re
import shutil
from functools import partial
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "sklearn.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:backbone 'tiny' was not trained on")
def test_the_page(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photos, "photos")
    names: dict = {"partial": partial}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        assert "PromptClassifier(" in block
        block = block.replace("PromptClassifier(", "partial(PromptClassifier, epochs=1)(")
        exec(compile(block, "sklearn.md", "exec"), names)
    assert set(names["search"].best_params_) == {"method", "lr"} and names["best"].classes_.tolist() == names["names"]
    assert len(capsys.readouterr().out.splitlines()) >= 4 and Path("my-model/checkpoint.safetensors").is_file()
