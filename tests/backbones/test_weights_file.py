"""Weights files in common forms: wrapped, prefixed, half precision; files that are no CLIP are refused."""

import argparse
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import tiny_clips
from cliptune.backbones.weights_file import read_weights
from cliptune.errors import UserError

CONFIG = {
    "embed_dim": 24,
    "text_cfg": {"width": 64, "heads": 1, "layers": 2},
    "vision_cfg": {"width": 128, "layers": 2, "patch_size": 8, "image_size": 32},
}
STATE = tiny_clips.clip(CONFIG).state_dict()
NUMBERS = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(77), "vocab_size": torch.tensor(49408)}


def prefixed(prefix, state=STATE):
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def same(weights, state=STATE):
    return weights.keys() == state.keys() and all(torch.equal(weights[name], state[name].float()) for name in weights)


WRAPPED = {
    "plain": STATE,
    "state_dict": {"epoch": 3, "state_dict": STATE, "optimizer": {"state": {0: torch.zeros(2)}, "param_groups": []}},
    "open_clip": {"epoch": 3, "name": "x", "state_dict": prefixed("module.")},
    "model": {"model": STATE},
    "model_state_dict": {"model_state_dict": STATE, "loss": 0.1},
    "ema": {"ema": STATE, "step": 4},
    "deep": {"checkpoint": {"model": {"state_dict": STATE}}},
    "compiled": prefixed("_orig_mod."),
    "compiled in parallel": prefixed("module._orig_mod."),
    "lightning": {"state_dict": prefixed("clip_model."), "pytorch-lightning_version": "2.4", "callbacks": {}},
    "prefix of several parts": prefixed("module.backbone.clip."),
    "a model in it": {**prefixed("visual_model.", {}), **prefixed("model.")},
    "settings": {"args": argparse.Namespace(lr=0.1), "best": np.float64(0.5), "state_dict": STATE},
    "half": {name: tensor.half() for name, tensor in STATE.items()},
    "bfloat16": {name: tensor.bfloat16() for name, tensor in STATE.items()},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_wrapped_state_dicts_are_found(tmp_path, kind):
    torch.save(WRAPPED[kind], tmp_path / "w.pt")
    weights = read_weights(tmp_path / "w.pt")
    state = WRAPPED[kind] if kind in ("half", "bfloat16") else STATE
    assert same(weights.state, state) and weights.quick_gelu is None
    assert {tensor.dtype for tensor in weights.state.values()} == {torch.float32}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".th", ".weights", ".safetensors"])
def test_any_suffix(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(STATE, path)
    assert same(read_weights(path).state)


def test_openais_weights_imply_their_activation(tmp_path):
    torch.save({**STATE, **NUMBERS}, tmp_path / "w.pt")
    weights = read_weights(tmp_path / "w.pt")
    assert same(weights.state) and weights.quick_gelu is True


def archive(path, state):
    class Empty(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    root = Empty()
    for name, tensor in state.items():
        *folders, last = name.split(".")
        at = root
        for folder in folders:
            if not hasattr(at, folder):
                at.add_module(folder, Empty())
            at = getattr(at, folder)
        at.register_parameter(last, torch.nn.Parameter(tensor.clone(), requires_grad=False))
    with warnings.catch_warnings():  # TorchScript is deprecated, but OpenAI's files use it
        warnings.simplefilter("ignore")
        torch.jit.script(root).save(str(path))


def test_a_torchscript_archive_is_read(tmp_path):
    archive(tmp_path / "ViT.pt", STATE)
    weights = read_weights(tmp_path / "ViT.pt")
    assert same(weights.state) and weights.quick_gelu is True


def test_ignored_tensors_are_reported(tmp_path):
    torch.save({**prefixed("clip."), "head.weight": torch.zeros(2), "head.bias": torch.zeros(2)}, tmp_path / "w.pt")
    with pytest.warns(UserWarning, match="tensors besides the CLIP, which are ignored: head.weight, head.bias$"):
        assert same(read_weights(tmp_path / "w.pt").state)
    torch.save({"ema": {k: v + 1 for k, v in STATE.items()}, "model": STATE}, tmp_path / "w.pt")
    with pytest.warns(UserWarning, match="several models; using model, not ema$"):
        assert same(read_weights(tmp_path / "w.pt").state)


class Code:
    def __reduce__(self):
        return print, ("run",)


IMAGE = {name: tensor for name, tensor in STATE.items() if name.startswith("visual.")}
TEXT = {name: tensor for name, tensor in STATE.items() if not name.startswith("visual.")}
NOT = {
    "code": ({"x": Code()}, "not a plain tensor file: it contains a Python object .*weights_only=False"),
    "a module": (torch.nn.Linear(2, 2), r"it contains a Python object .*weights_only=False\).state_dict\(\)"),
    "nothing": ({}, "contains no CLIP: it is empty"),
    "a list": ([torch.zeros(2)], "contains a list, not a state dict"),
    "a tensor": (torch.zeros(2), "contains a Tensor, not a state dict"),
    "another model": ({"layer.weight": torch.zeros(2)}, r"contains no CLIP: it contains layer.weight \(tensor\)"),
    "an optimizer": ({"optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}}}, r"it contains optimizer \(dict\)"),
    "an image tower": (IMAGE, "contains an image tower alone"),
    "a bare image tower": ({k.removeprefix("visual."): v for k, v in IMAGE.items()}, "contains an image tower alone"),
    "a text tower": (TEXT, "contains a text tower alone"),
    "two models": ({**prefixed("student."), **prefixed("teacher.")}, "several models .*'student.', 'teacher.'"),
    "LoRA": ({**STATE, "visual.proj.lora_A": torch.zeros(2)}, "contains LoRA matrices .*merge them"),
    "learned prompts": ({"state_dict": {"prompt_learner.ctx": torch.zeros(4, 8)}}, "cliptune import"),
    "integers": ({**STATE, "visual.proj": STATE["visual.proj"].to(torch.int8)}, "visual.proj as torch.int8"),
    "NaN": ({**STATE, "visual.proj": STATE["visual.proj"] * float("nan")}, "NaN or infinity in visual.proj"),
    "sparse": ({**STATE, "visual.proj": STATE["visual.proj"].to_sparse()}, "visual.proj as .*sparse"),
}


def refused(path, reason):
    with pytest.raises(UserError, match=reason) as error:
        read_weights(path)
    message = str(error.value)
    assert "\n" not in message and not message.rstrip().endswith(":") and str(path) in message


@pytest.mark.filterwarnings("ignore:.*sparse:UserWarning")
@pytest.mark.parametrize("kind", NOT)
def test_files_that_are_no_clip_are_refused(tmp_path, capsys, kind):
    content, reason = NOT[kind]
    torch.save(content, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", reason)
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "is empty"),
        (b"not weights", "cannot be read as weights|not a plain tensor file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "is a web page"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_of_other_kinds(tmp_path, content, reason, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    refused(path, reason)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_truncated_files(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(STATE, path)
    path.write_bytes(path.read_bytes()[:3000])
    refused(path, "cannot be read as weights|not a plain tensor file")


@pytest.mark.parametrize("name, reason", [("w.npz", "big_vision"), ("w.onnx", "exported graph"), ("w.json", "shard")])
def test_formats_of_other_libraries(tmp_path, name, reason):
    (tmp_path / name).write_bytes(b"PK")
    refused(tmp_path / name, reason)


def test_a_checkpoint_of_a_run_is_refused_as_backbone(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "checkpoint.safetensors", metadata={"cliptune-1": "{}"})
    refused(tmp_path / "checkpoint.safetensors", "checkpoint of a run, not a backbone")


@pytest.mark.parametrize(
    "files, reason",
    [
        (["latest", "global_step5/mp_rank_00_model_states.pt"], "DeepSpeed .*zero_to_fp32"),
        (["model.safetensors.index.json", "model-00001-of-00002.safetensors"], r"sharded weights"),
        ([".metadata", "__0_0.distcp"], "sharded weights"),
        (["epoch_1.pt", "epoch_2.pt"], "no open_clip_config.json.*epoch_1.pt, epoch_2.pt: use the path of a file"),
        (["readme.md"], "it contains no weights file either"),
    ],
)
def test_folders(tmp_path, files, reason):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    refused(tmp_path, reason)


def test_a_missing_file(tmp_path):
    refused(tmp_path / "none.pt", "no weights file at .*none.pt; check the path")
