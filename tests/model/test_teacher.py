"""A teacher of any width and preprocessing: a run, a backbone by name, or the student's own."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import textbook
import tiny_clips
from cliptune import model_io, teachers
from cliptune.config import RunConfig
from cliptune.errors import UserError
from cliptune.methods.cocoop import CoCoOp
from cliptune.methods.maple import Maple
from cliptune.methods.promptkd import PromptKd
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.teacher import TeacherModel, renormalised
from cliptune.model.tuned_model import TunedModel

NAMES = ("cat", "sled dog", "x")
TEMPLATES = ("a photo of a {}.",)


@pytest.fixture(scope="module")
def student():
    return tiny_clips.backbone("deep_image")


@pytest.fixture(scope="module")
def other():
    """A backbone of another width and image size."""
    return tiny_clips.backbone("deep_text")


def run_folder(folder, backbone, method, names=NAMES):
    model = TunedModel(backbone, method, names, TEMPLATES)
    model_io.save_model(folder / "checkpoint.safetensors", RunConfig(method), model)
    return model.eval()


@torch.no_grad()
def test_features_and_logits_are_the_teachers_own(student, other):
    own = TunedModel(other, Maple(2, 2), NAMES, TEMPLATES)
    teacher = TeacherModel(own, student)
    images = tiny_clips.random_images(student)
    pixels = renormalised(images, student.preprocess, other.preprocess)
    out = own({"image": pixels})
    assert pixels.shape[-1] == other.image_size != student.image_size
    assert torch.equal(teacher.image(images), out.image["image"])
    assert torch.equal(teacher.text(NAMES, TEMPLATES), out.text)
    assert torch.equal(teacher.logits(images, NAMES, TEMPLATES), out.logits)
    assert torch.equal(teacher.text(NAMES[::-1], TEMPLATES), own.with_classes(NAMES[::-1]).encode_classes()[0])


@torch.no_grad()
def test_further_texts(student, other):
    teacher = TeacherModel(TunedModel(other, ZeroShot(), ("object",)), student)
    ids = textbook.tokens(other.prompt_tokenizer, ["a wall", "the sky"])
    plain = textbook.unit(textbook.text_features(other.model, ids))
    torch.testing.assert_close(teacher.phrases(("a wall", "the sky")), plain, rtol=0, atol=1e-5)


def test_a_teacher_needs_no_gradient(student):
    teacher = TeacherModel(TunedModel(student, Maple(2, 2), NAMES), student)
    assert not teacher.logits(tiny_clips.random_images(student), NAMES, TEMPLATES).requires_grad
    assert not teacher.text(NAMES, TEMPLATES).requires_grad


def test_images_are_normalised_for_the_teacher(student):
    source = student.preprocess
    images, target = tiny_clips.random_images(student), replace(source, size=(48, 40), mean=(0.1,) * 3, std=(0.3,) * 3)
    pixels = F.interpolate(images * 0.2 + 0.5, (48, 40), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(renormalised(images, source, target), (pixels - 0.1) / 0.3)
    assert renormalised(images, source, source) is images


def test_prompts_that_depend_on_the_image_give_no_class_features(student):
    teacher = TeacherModel(TunedModel(student, CoCoOp(), NAMES), student)
    with pytest.raises(UserError, match="depend on the image"):
        teacher.text(NAMES, TEMPLATES)


def test_cached_features_are_refused(student):
    teacher = TeacherModel(TunedModel(student, ZeroShot(), NAMES), student)
    with pytest.raises(UserError, match="needs images"):
        teacher.image(torch.ones(2, student.embed_dim))


def test_a_run_is_a_teacher(student, other, tmp_path, monkeypatch):
    monkeypatch.setattr(model_io, "cached_backbone", lambda *_: other)
    own = run_folder(tmp_path, other, Maple(2, 2))
    teacher = model_io.lazy_teacher(PromptKd(str(tmp_path)), student)
    assert teacher is not None and teacher() is teacher()
    with torch.no_grad():
        assert torch.equal(teacher().text(NAMES, TEMPLATES), own.encode_classes()[0])


@pytest.mark.parametrize(
    "source, backbone",
    [
        ("ViT-L-14/openai", ("ViT-L-14", "openai")),
        ("ViT-L/14/openai", ("ViT-L/14", "openai")),
        ("ViT-B-16/random", ("ViT-B-16", "random")),
        ("ViT-B-16//data/clip.pt", ("ViT-B-16", "/data/clip.pt")),
        ("hf-hub:org/repo", ("hf-hub:org/repo", "")),
        ("tiny", ("tiny", "")),
        ("runs/teacher", ("", "")),
    ],
)
def test_backbones_by_name(source, backbone):
    assert teachers.split_backbone(source) == backbone


def test_a_missing_teacher_is_named(student):
    with pytest.raises(UserError, match="no teacher at 'runs/gone'.*NAME/PRETRAINED"):
        TunedModel(student, PromptKd("runs/gone"), NAMES, teacher=model_io.lazy_teacher(PromptKd("runs/gone"), student))


def test_a_model_without_its_teacher_says_so(student):
    with pytest.raises(UserError, match="needs its teacher"):
        TunedModel(student, PromptKd(), NAMES)
