"""The frozen teacher against the reference implementation."""

import pytest
import torch

import textbook
from cliptune.backbones.teacher import Teacher
from tiny_clips import NAMES, VITS, backbone, random_images

TEMPLATES = ("a photo of a {}.", "itap of the {}.", "{} texture.")


@pytest.mark.parametrize("shape", VITS)
def test_class_features_are_averaged_over_templates_before_normalisation(shape):
    of = backbone(shape)
    names = [name.replace("_", " ") for name in NAMES]
    each = [
        textbook.text_features(of.model, textbook.tokens(of.prompt_tokenizer, [t.format(n) for n in names]))
        for t in TEMPLATES
    ]
    teacher = Teacher.of(of, NAMES, TEMPLATES)
    torch.testing.assert_close(teacher.text, textbook.unit(torch.stack(each).mean(0)), rtol=0, atol=1e-5)
    normalised = textbook.unit(torch.stack([textbook.unit(f) for f in each]).mean(0))
    assert not torch.allclose(teacher.text, normalised, atol=1e-4), "the order of mean and norm makes a difference"


@pytest.mark.parametrize("shape", [*VITS, "resnet"])
def test_images_and_logits_without_prompts_or_graph(shape):
    of = backbone(shape)
    teacher, images = Teacher.of(of, NAMES, TEMPLATES), random_images(of)
    features = teacher.image(images)
    raw = textbook.image_features(of.model, images)
    torch.testing.assert_close(features, textbook.unit(raw), rtol=0, atol=1e-5)
    torch.testing.assert_close(teacher.image(raw), features, rtol=0, atol=1e-5)  # precomputed features
    expected = of.logit_scale * features @ teacher.text.T
    torch.testing.assert_close(teacher.logits(features), expected)
    assert not any(t.requires_grad for t in (teacher.text, features, teacher.logits(features)))
