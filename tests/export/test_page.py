"""The Python of docs/export.md runs in a folder with photos."""

import re
from pathlib import Path

import pytest
from PIL import Image

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
