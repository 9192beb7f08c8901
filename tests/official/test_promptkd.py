"""PromptKD's checkpoints: the student's file with the run of its teacher."""

import pytest
import torch

import cliptune as ct
import tiny_clips
from cliptune import experiment, model_io
from cliptune.config import RunConfig
from cliptune.errors import UserError
from cliptune.methods.maple import Maple
from cliptune.methods.promptkd import PromptKd
from cliptune.model.tuned_model import TunedModel
from cliptune.official.tensor_names import official_buffers, official_names
from official_files import save
from tiny_clips import normal

NAMES = ("cat", "sled dog", "steam locomotive")
CONVOLUTIONS = ("VPT_image_trans.conv1.0.weight", "VPT_image_trans.conv1.3.weight")


@pytest.fixture
def student(monkeypatch):
    backbone = tiny_clips.backbone("deep_text")
    monkeypatch.setattr(experiment, "cached_backbone", lambda *_: backbone)
    return backbone


@pytest.fixture
def teacher(tmp_path, monkeypatch):
    """The run directory of a teacher on a backbone of another width."""
    backbone, method = tiny_clips.backbone("deep_image"), Maple(2, 2)
    monkeypatch.setattr(model_io, "cached_backbone", lambda *_: backbone)
    folder = tmp_path / "teacher"
    model_io.save_model(folder / "checkpoint.safetensors", RunConfig(method), TunedModel(backbone, method, NAMES))
    return str(folder)


@pytest.fixture
def file(student, teacher, tmp_path):
    """A model with moved tensors, and its file in the official format."""
    method = PromptKd(teacher, 3, 2)
    model = TunedModel(student, method, NAMES, teacher=model_io.lazy_teacher(method, student)).eval()
    tensors = official_names(model.learner) | official_buffers(model.learner)
    with torch.no_grad():
        for i, tensor in enumerate(tensors.values()):
            tensor.copy_(
                tensor + 7 if tensor.dtype == torch.int64 else tensor + 0.1 * normal(*tensor.shape, seed=i).abs()
            )
    state = {name: t[:, :, None, None] if name in CONVOLUTIONS else t.clone() for name, t in tensors.items()}
    return model, save(tmp_path / "model-best.pth.tar", {name: t.detach().clone() for name, t in state.items()})


@torch.no_grad()
def test_the_imported_student_is_the_same(student, teacher, file, tmp_path):
    model, path = file
    run = ct.import_checkpoint(path, backbone="ViT-B-16", classes=NAMES, teacher=teacher)
    assert run.run.method == model.method
    images = {"image": tiny_clips.random_images(student)}
    assert torch.equal(run.model(images).logits, model(images).logits)
    assert run.model.learner.projector.norm.num_batches_tracked == 7
    run.save(tmp_path / "run")
    assert torch.equal(ct.load(tmp_path / "run", student).model(images).logits, model(images).logits)


def test_what_the_file_lacks_is_asked_for(file, teacher):
    _, path = file
    with pytest.raises(UserError, match="does not contain its teacher.*--teacher"):
        ct.import_checkpoint(path, classes=NAMES)
    with pytest.raises(UserError, match="does not contain its class names.*--classes"):
        ct.import_checkpoint(path, teacher=teacher)


def test_a_teacher_of_another_width_is_refused(file):
    _, path = file
    with pytest.raises(UserError, match="does not fit promptkd.*VPT_image_trans.conv1.0"):
        ct.import_checkpoint(path, classes=NAMES, teacher="own")
