"""The methods on the manual's page run as described: from any folder, and as a file of the package."""

import re
from pathlib import Path

import pytest
import torch

import cliptune as ct
from cliptune import methods

PAGE = Path(__file__).parents[1] / "docs" / "add-a-method.md"


#: File name -> its code.
FILES = dict(re.findall(r"as `(\w+\.py)`:\n\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))


@pytest.fixture
def code():
    return FILES["offset.py"]


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_short(name):
    assert len(FILES[name].splitlines()) < 60
    assert PAGE.read_text(encoding="utf-8").count("```python") == len(FILES)


def test_a_method_runs_from_any_folder(code, tmp_path, monkeypatch, photos):
    (tmp_path / "offset.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    run = ct.train("offset:Offset", data=f"folder:{photos}", shots=4, epochs=5, lr=2.0, augment="none", stay=0.05)
    assert run.result is not None and set(run.result.history[0]) == {"epoch", "lr", "loss", "ce", "stay"}
    assert run.result.history[-1]["ce"] < run.result.history[0]["ce"]
    assert run.model.learner.state_dict()["vector"].any()


def test_a_method_that_knows_the_class_names(tmp_path, monkeypatch, photos):
    (tmp_path / "named.py").write_text(FILES["named.py"])
    monkeypatch.syspath_prepend(tmp_path)
    run = ct.train("named:Named", data=f"folder:{photos}", shots=4, epochs=5, lr=0.1, augment="none")
    assert run.result is not None and run.result.history[-1]["ce"] < run.result.history[0]["ce"]
    assert run.model.learner.state_dict()["shift.weight"].any()
    other = run.with_classes(["steam engine", *run.classnames])
    torch.testing.assert_close(other.text_features()[1:], run.text_features())
    assert not torch.allclose(other.text_features()[0], run.text_features()[0], atol=0.01)


def test_a_method_that_changes_weights(tmp_path, monkeypatch, photos):
    (tmp_path / "lora.py").write_text(FILES["lora.py"])
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"optimizer": "adamw", "lr": 0.005, "warmup_epochs": 0, "augment": "none"}
    run = ct.train("lora:Lora", data=f"folder:{photos}", shots=4, epochs=5, rank=3, **settings)
    assert run.result is not None and run.result.history[-1]["ce"] < run.result.history[0]["ce"]
    with torch.no_grad():
        change = run.model.prompts().image_change
        assert not any(block.linear for block in change.blocks), "merged in evaluation"
    images = sorted((photos / "cat").iterdir())
    run.save(tmp_path / "saved")
    assert torch.equal(ct.load(tmp_path / "saved", allow_code=True).logits(images), run.logits(images))


def test_a_method_with_several_contexts_that_reads_patches(tmp_path, monkeypatch, photos):
    (tmp_path / "several.py").write_text(FILES["several.py"])
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"shots": 4, "epochs": 5, "lr": 0.05, "augment": "none", "masks_from": "gradcam"}
    run = ct.train("several:Several+dapt", data=f"folder:{photos}", contexts=3, **settings)
    assert run.result is not None and run.result.history[-1]["ce"] < run.result.history[0]["ce"]
    images = sorted((photos / "cat").iterdir())
    run.save(tmp_path / "saved")
    assert torch.equal(ct.load(tmp_path / "saved", allow_code=True).logits(images), run.logits(images))
    other = run.with_classes(["steam engine", *run.classnames])
    torch.testing.assert_close(other.logits(images)[:, 1:], run.logits(images))


def test_a_method_runs_as_a_file_of_the_package(code, tmp_path, monkeypatch, photos, cli):
    """A file added to the methods folder is found by name, listed, wrapped, saved and run under a protocol."""
    (tmp_path / "offset.py").write_text(code)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    assert "offset" in methods.names()
    result = cli("list", "methods")
    (line,) = [line for line in result.out.splitlines() if line.startswith("offset ")]
    assert "512" in line and "CVPR 2023" in line and "A vector added to every text feature" in line
    masks = photos.parent / "masks"
    run = ct.train("offset+dapt", data=f"folder:{photos}", shots=2, epochs=2, masks_from=f"folder:{masks}")
    assert run.result is not None and run.result.method == "offset+dapt"
    run.save(tmp_path / "saved")
    images = sorted((photos / "cat").iterdir())
    assert torch.equal(ct.load(tmp_path / "saved").logits(images), run.logits(images))
    flags = ("--methods", "offset", "--data", f"folder:{photos}", "--shots", 1, "--seeds", 1, "--epochs", 1)
    result = cli("run", "few-shot", *flags, "--out", tmp_path / "sweep")
    assert (result.code, result.err.count("cliptune: ")) == (0, 0) and "offset" in result.out, result.err
    assert cli("train", "offset", "--stay", "-1").code == 2
