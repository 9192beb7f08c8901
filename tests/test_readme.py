"""The Python code of the README runs unchanged."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

from cliptune import methods
from cliptune.data.emoji.dataset import Emoji

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of four images without transparency, one folder each."""
    drawings = Emoji()
    for example in drawings.examples("train"):
        folder = tmp_path / "photos" / ("cat", "dog")[example.label % 2]
        number = len(list(folder.glob("*.jpg"))) + 1
        if number <= 4:
            folder.mkdir(parents=True, exist_ok=True)
            to_pil_image(drawings.read(example).image).save(folder / f"{number}.jpg")
    return tmp_path


# Few images per class, no masks, names that the tiny backbone may not know: each gives one warning.
@pytest.mark.filterwarnings(
    "ignore:the images have no masks", "ignore:.*fewer than", "ignore:backbone 'tiny' was not trained on"
)
def test_python_of_the_readme_runs(photos: Path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks, "the README has no Python"
    monkeypatch.chdir(photos)
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert "test" in printed[0] and printed[1].startswith("('")
    images, weights, model = names["images"], names["weights"], names["again"]
    assert images.shape[0] == 1 and weights.shape[0] == 2
    cosines = model.model.backbone.logit_scale * images @ weights.T
    assert torch.allclose(cosines, model.logits("photos/cat/1.jpg"), atol=1e-3)
    assert (photos / "my-model" / "checkpoint.safetensors").stat().st_size < 1 << 20


def test_the_table_of_methods_is_complete():
    text = README.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[`([^`]+)`\]\(src/[^|]*\|[^|]*\| ([^|]*) \|", text, re.MULTILINE))
    sizes = json.loads((Path(methods.__file__).parent / "sizes.json").read_text())
    wrappers = {f"METHOD+{name}" for name in methods.wrapper_names()}
    assert set(rows) == set(sizes) | wrappers == set(methods.names()) - set(methods.wrapper_names()) | wrappers
    assert {name: cell.removesuffix(" (search)") for name, cell in rows.items() if name in sizes} == sizes
    trained = sum(size != "0" for size in sizes.values())
    assert f"{trained} methods" in " ".join(text.split())
