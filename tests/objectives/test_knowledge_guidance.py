"""Distance to the teacher, and projected gradients that do not oppose a guide."""

import pytest
import torch
import torch.nn.functional as F

from cliptune.objectives.knowledge_guidance import remove_conflict, text_distance_loss
from tiny_clips import normal


def test_the_distance_is_one_minus_the_mean_cosine_or_half_the_squared_distance():
    text, teacher = normal(4, 8), normal(4, 8, seed=1)
    expected = sum(1 - F.cosine_similarity(a, b, 0) for a, b in zip(text, teacher, strict=True)) / 4
    text, teacher = F.normalize(text, dim=-1), F.normalize(teacher, dim=-1)
    assert text_distance_loss(text, teacher).item() == pytest.approx(expected.item(), abs=1e-6)
    assert text_distance_loss(text, teacher).item() == pytest.approx(
        (text - teacher).square().sum(-1).mean().item() / 2
    )
    assert text_distance_loss(text, text).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_only_the_opposing_part_is_removed(share):
    gradient, guide = torch.tensor([[3.0, -2.0], [0.0, 1.0]]), torch.tensor([[0.0, 5.0], [0.0, 0.0]])
    expected = torch.tensor([[3.0, -2.0 * (1 - share)], [0.0, 1.0]])
    assert torch.allclose(remove_conflict(gradient, guide, share), expected)
    assert torch.equal(remove_conflict(gradient, -guide, share), gradient), "they agree"


def test_the_result_does_not_oppose_the_guide_at_any_scale():
    gradient, guide = normal(4, 8), -normal(4, 8) + 0.5 * normal(4, 8, seed=1)
    left = remove_conflict(gradient, guide)
    assert (left * guide).sum().abs() < 1e-5 < -(gradient * guide).sum()
    for scale in (65536.0, 1e-6):
        torch.testing.assert_close(remove_conflict(scale * gradient, scale * guide) / scale, left)


def test_a_zero_guide_changes_nothing():
    gradient = normal(3)
    assert torch.equal(remove_conflict(gradient, torch.zeros(3)), gradient)
