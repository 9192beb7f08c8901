"""Reading every form of file that the authors' loop writes, without executing code."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from cliptune.errors import UserError
from cliptune.official.checkpoint_file import read_official
from official_files import save, training_loop

STATE = {"prompt_learner.ctx": torch.arange(12.0).reshape(3, 4)}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("alone", [False, True])
def test_files_of_the_training_loop(tmp_path, legacy, loop, prefix, alone):
    name = "ctx" if alone else "prompt_learner.ctx"
    path = save(tmp_path / "model.pth.tar-5", {prefix + name: STATE["prompt_learner.ctx"]}, legacy=legacy, loop=loop)
    checkpoint = read_official(path)
    assert checkpoint.learned.keys() == STATE.keys()
    assert torch.equal(checkpoint.learned["prompt_learner.ctx"], STATE["prompt_learner.ctx"])


def test_files_of_the_loop_contain_objects_that_pytorch_refuses(tmp_path):
    """The reason for the placeholder classes."""
    path = save(tmp_path / "model.pth.tar-5", STATE)
    with pytest.raises(pickle.UnpicklingError, match="CosineAnnealingLR|SGD|numpy|defaultdict"):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize("legacy", [False, True])
def test_placeholder_classes_are_inert_and_temporary(tmp_path, legacy, monkeypatch):
    before = set(torch.serialization.get_safe_globals())
    path = save(tmp_path / "model.pth.tar-5", STATE, legacy=legacy)
    monkeypatch.setattr(torch.optim.SGD, "__setstate__", lambda *_: pytest.fail("an object of the file was made"))
    read_official(path)
    assert set(torch.serialization.get_safe_globals()) == before


def test_a_bare_state_dict_and_half_precision(tmp_path):
    path = tmp_path / "learner.pth"
    torch.save({"ctx": STATE["prompt_learner.ctx"].half(), "token_prefix": torch.ones(2, 1, 4)}, path)
    checkpoint = read_official(path)
    assert checkpoint.learned["prompt_learner.ctx"].dtype == torch.float32
    assert torch.equal(checkpoint.learned["prompt_learner.ctx"], STATE["prompt_learner.ctx"])


@pytest.mark.parametrize("value", [np.float32(3), np.int64(3), np.bool_(True)])
def test_numpy_numbers(tmp_path, value):
    assert read_official(save(tmp_path / "m", STATE, val_result=value)).learned.keys() == STATE.keys()


X = STATE["prompt_learner.ctx"]
INVALID = {
    "a view of one number": torch.ones(1).expand(10**6, 10**6),
    "a view that overlaps": torch.as_strided(torch.ones(4), (1000, 1000, 1000), (0, 0, 0)),
    "sparse": X.to_sparse(),
    "complex": X.to(torch.complex64),
    "without numbers": X.to("meta"),
    "whole numbers": X.int(),
    "not finite": X * float("inf"),
}


@pytest.mark.parametrize("kind", INVALID)
def test_inconsistent_tensors_are_refused(tmp_path, kind):
    torch.save({"state_dict": {"prompt_learner.ctx": INVALID[kind]}}, tmp_path / "m")
    with pytest.raises(UserError, match="m contains "):
        read_official(tmp_path / "m")


@pytest.mark.filterwarnings("ignore")
def test_quantised_tensors(tmp_path):
    torch.save({"prompt_learner.ctx": torch.quantize_per_tensor(X, 0.1, 0, torch.qint8)}, tmp_path / "m")
    with pytest.raises(UserError, match="quantised"):
        read_official(tmp_path / "m")


def test_a_zip_bomb_is_refused(tmp_path):
    torch.save({"prompt_learner.ctx": torch.zeros(1000, 1000)}, tmp_path / "whole")
    with zipfile.ZipFile(tmp_path / "whole") as whole, zipfile.ZipFile(tmp_path / "m", "w") as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"m unpacks from .* bytes to 4,0\d\d,\d+"):
        read_official(tmp_path / "m")


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("function, name", [(os.system, "system"), (eval, "eval"), (np.load, "load"), (open, "open")])
def test_code_is_refused_and_not_executed(tmp_path, legacy, function, name):
    mark = tmp_path / "mark"
    arguments = {"system": (f"touch {mark}",), "eval": (f"open({str(mark)!r}, 'w')",), "open": (str(mark), "w")}
    path = save(tmp_path / "m", STATE, legacy=legacy, extra=Code(function, *arguments.get(name, (str(mark),))))
    with pytest.raises(UserError, match=rf"m needs code to load \(.*{name}\), and code in a file is never executed"):
        read_official(path)
    assert not mark.exists()


def test_code_under_the_name_of_an_ignored_object(tmp_path):
    """An optimizer's class called with other arguments than its own still does nothing."""
    path = save(tmp_path / "m", STATE, extra=Code(torch.optim.SGD, "whatever", 3))
    assert read_official(path).learned.keys() == STATE.keys()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path, legacy, share):
    whole = save(tmp_path / "m", STATE, legacy=legacy).read_bytes()
    (tmp_path / "m").write_bytes(whole[: int(len(whole) * share)])
    cut_name = "|m needs code to load .collections.Order" if legacy else ""  # truncation can cut a type's name
    with pytest.raises(UserError, match="m is damaged, truncated or not a file of torch.save" + cut_name):
        read_official(tmp_path / "m")


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04", b"\x80\x02.", b"\x80\x02}q\x00."])
def test_another_file_type_is_refused(tmp_path, content):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(UserError, match="m is damaged|m contains no state dict"):
        read_official(tmp_path / "m")


@pytest.mark.parametrize("content", [[1], {"state_dict": 3}, {"state_dict": {"ctx": 3}}, {}, torch.ones(3)])
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "m")
    with pytest.raises(UserError, match="m contains no state dict; use the model.pth.tar-N"):
        read_official(tmp_path / "m")


def test_unknown_tensor_names_are_refused(tmp_path):
    with pytest.raises(UserError, match="contains prompt_learner.cross_attn.weight, which no known method saves"):
        read_official(save(tmp_path / "m", {**STATE, "prompt_learner.cross_attn.weight": torch.ones(2)}))


def test_a_diverged_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="NaN or infinity in prompt_learner.ctx"):
        read_official(save(tmp_path / "m", {"prompt_learner.ctx": torch.tensor([[1.0, float("nan")]])}))


def test_paths(tmp_path):
    with pytest.raises(UserError, match="no file at .*none; check the path"):
        read_official(tmp_path / "none")
    with pytest.raises(UserError, match="is a folder with no model.pth.tar-N; use the path"):
        read_official(tmp_path)
    inner = tmp_path / "prompt_learner"
    inner.mkdir()
    save(inner / "model.pth.tar-5", STATE)
    assert read_official(tmp_path).path == inner / "model.pth.tar-5"
    save(inner / "model-best.pth.tar", STATE)
    with pytest.raises(
        UserError, match=r"prompt_learner/model-best.pth.tar, prompt_learner/model.pth.tar-5; use the path"
    ):
        read_official(tmp_path)


def test_the_loop_of_these_tests_resembles_the_authors():
    """A schedule with its successor as an object, which contains the optimizer."""
    loop = training_loop()
    assert isinstance(loop["scheduler"]["successor"].optimizer, torch.optim.SGD)
    assert loop["optimizer"]["state"][0]["momentum_buffer"] is not None


@pytest.mark.parametrize("part", ["prompt_learner", "image_encoder.transformer.ctx_learner", ""])
def test_the_parts_of_dpt_are_refused(part, tmp_path):
    """The file of its context alone looks like CoOp's, and that of its image tokens like contexts per class."""
    for name in ("prompt_learner", "image_encoder.transformer.ctx_learner", "image_encoder.transformer.extractor"):
        (tmp_path / name).mkdir()
        torch.save({"state_dict": {"ctx": torch.ones(4, 5)}}, tmp_path / name / "model.pth.tar-60")
    file = tmp_path / part / "model.pth.tar-60" if part else tmp_path
    with pytest.raises(UserError, match="is of DPT's code, which saves .* three files"):
        read_official(file)


def test_a_copied_part_of_dpt_is_refused(tmp_path):
    torch.save({"state_dict": {"ctx": torch.ones(1, 4, 5), "meta_nets.0.bias": torch.ones(5)}}, tmp_path / "copied")
    with pytest.raises(UserError, match="is of DPT's code"):
        read_official(tmp_path / "copied")
