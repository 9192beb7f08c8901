"""A method from a third-party package works like a built-in one."""

import sys

import pytest
import torch

import cliptune as ct
from cliptune import config

METHOD = '''
"""One shift of every class's first token."""

from dataclasses import dataclass

import torch.nn.functional as F

from cliptune.backbones.tokenized_text import tokenize_with_context
from cliptune.model.method import Method
from cliptune.prompts.context import TextContext
from cliptune.prompts.initialization import random_tokens


@dataclass(frozen=True)
class Shift(Method):
    """Two context vectors with a penalty on their size."""

    decay: float = 0.5
    """Weight of their size."""

    def learner(self, backbone, classnames, generator):
        return TextContext(random_tokens(2, backbone.text_width, generator))

    def class_prompts(self, backbone, classnames, templates):
        return tokenize_with_context(backbone.prompt_tokenizer, "", 2, classnames)

    def losses(self, out, batch, state):
        return {"ce": F.cross_entropy(out.logits, batch.labels), "size": self.decay * out.prompts.text.square().mean()}
'''
NAME = "shifting.method:Shift"


@pytest.fixture
def outsider(tmp_path, monkeypatch):
    package = tmp_path / "site" / "shifting"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "method.py").write_text(METHOD)
    monkeypatch.syspath_prepend(package.parent)
    return NAME


def test_train_save_load_and_resume(outsider, tmp_path, photos):
    run = ct.train(outsider, data=f"folder:{photos}", shots=2, epochs=2, decay=2.0, out=tmp_path / "run")
    assert run.result is not None and run.result.method == NAME
    assert set(run.result.history[0]) == {"epoch", "lr", "loss", "ce", "size"}
    again = ct.load(tmp_path / "run", allow_code=True)
    images = sorted((photos / "cat").iterdir())
    assert torch.equal(again.logits(images), run.logits(images))
    assert config.to_dict(again.run)["method"] == {"name": NAME, "decay": 2.0}


def test_a_third_party_method_can_be_wrapped(outsider, photos):
    masks = photos.parent / "masks"
    run = ct.train(
        f"{outsider}+dapt", data=f"folder:{photos}", shots=2, epochs=2, decay=0.1, masks_from=f"folder:{masks}"
    )
    assert run.run.method.base.decay == 0.1
    assert run.result is not None and run.result.method == f"{NAME}+dapt"


def test_on_the_command_line(outsider, cli, tmp_path, photos):
    data = ("--data", f"folder:{photos}", "--shots", 1, "--epochs", 1)
    result = cli("train", outsider, *data, "--decay", "0.25", "--out", tmp_path / "run")
    assert (result.code, result.err.count("cliptune: ")) == (0, 0), result.err
    assert f"next: cliptune predict {tmp_path / 'run'} IMAGE... --allow-code" in result.err
    assert cli("predict", tmp_path / "run", photos / "cat" / "0.png", "--allow-code").code == 0
    result = cli("train", outsider, *data, "--dcay", "0.25")
    assert result.code == 2 and "nearest: --decay" in result.err


def test_a_missing_module_is_reported(outsider, tmp_path, photos, monkeypatch):
    ct.train(outsider, data=f"folder:{photos}", shots=1, epochs=1, out=tmp_path / "run")
    monkeypatch.setattr("sys.path", [p for p in sys.path if not p.startswith(str(tmp_path))])
    for module in ("shifting.method", "shifting"):
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ct.UserError, match=f"method '{NAME}' cannot be imported"):
        ct.load(tmp_path / "run", allow_code=True)
