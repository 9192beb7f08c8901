"""A checkpoint is a safetensors file of kilobytes; anything else at its path is refused in one sentence."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cliptune.engine import checkpoint
from cliptune.errors import UserError

TENSORS = {
    "text": torch.arange(6.0).view(2, 3),
    "deep.0": torch.ones(2, dtype=torch.float16),
    "scalar": torch.tensor(2),
}
ABOUT = {"classnames": ["Käse", "x"], "n": 0.1, "history": [{"loss": 1e-300, "epoch": 0}]}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "run" / "checkpoint.safetensors"
    checkpoint.write_checkpoint(file, TENSORS, ABOUT)
    return file


def test_round_trip(path):
    tensors, about = checkpoint.read_checkpoint(path)
    assert about == ABOUT
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype


def test_any_safetensors_reader_opens_it(path):
    with safe_open(str(path), "pt") as file:
        assert set(file.keys()) == set(TENSORS)
        about = json.loads(file.metadata()[checkpoint.FORMAT])
        assert len(about.pop(checkpoint.DIGEST)) == 64 and about == ABOUT
    assert path.stat().st_size < 2048


def test_parameters_and_views_are_written_unchanged(tmp_path):
    parameter = torch.nn.Parameter(torch.arange(6.0).view(2, 3))
    checkpoint.write_checkpoint(tmp_path / "c", {"turned": parameter.t(), "part": parameter[:, 1]}, {})
    tensors, _ = checkpoint.read_checkpoint(tmp_path / "c")
    assert torch.equal(tensors["turned"], parameter.t()) and torch.equal(tensors["part"], parameter[:, 1])


def test_equal_content_gives_equal_bytes_and_no_temporary_file_stays(path):
    before = path.read_bytes()
    checkpoint.write_checkpoint(path, TENSORS, dict(reversed(ABOUT.items())))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("left", [0, 4, 60, -1])
def test_a_truncated_file_is_refused(path, left):
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UserError, match=r"checkpoint .*checkpoint\.safetensors is damaged or truncated \(.+\)"):
        checkpoint.read_checkpoint(path)


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0" * 50, b"not tensors at all, a text of some length"])
def test_another_file_type_is_refused(tmp_path, content):
    (tmp_path / "cat.jpg").write_bytes(content)
    with pytest.raises(UserError, match="cat.jpg is damaged or truncated"):
        checkpoint.read_checkpoint(tmp_path / "cat.jpg")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_other_safetensors_files_are_refused(tmp_path, metadata):
    save_file(TENSORS, tmp_path / "weights.safetensors", metadata)
    with pytest.raises(UserError, match="weights.safetensors is not a cliptune checkpoint"):
        checkpoint.read_checkpoint(tmp_path / "weights.safetensors")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"no checkpoint at {tmp_path}"):
        checkpoint.read_checkpoint(tmp_path / "checkpoint.safetensors")


def test_an_unwritable_path_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write to"):
        checkpoint.write_checkpoint(tmp_path / "file" / "checkpoint.safetensors", TENSORS, ABOUT)
