"""DAPT's losses against the paper's loops."""

import math

import pytest
import torch

from cliptune.objectives.decoupling import background_alignment_loss, pull_push
from tiny_clips import learned, normal


def unit(*shape, seed):
    return torch.nn.functional.normalize(normal(*shape, seed=seed), dim=-1)


def distance(a, b):
    return math.sqrt(sum((x - y + 1e-6) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True)))


@pytest.mark.parametrize("margin", [0.0, 0.1, 1.5])
def test_pull_push_is_a_triplet_hinge_averaged_over_images(margin):
    image, foreground, background = (unit(7, 5, seed=s) for s in range(3))
    hinges = [
        max(0.0, margin + distance(u, f) - distance(u, b))
        for u, f, b in zip(image, foreground, background, strict=True)
    ]
    if margin < 1:
        assert min(hinges) == 0 < max(hinges)  # both sides of the hinge
    assert pull_push(image, foreground, background, margin).item() == pytest.approx(sum(hinges) / 7, rel=1e-5)


def test_pull_push_has_a_gradient_for_the_whole_image_only():
    leaves = image, foreground, background = [learned(4, 6, seed=s) for s in range(3)]
    pull_push(image, foreground, background, 5.0).backward()
    assert [leaf.grad is not None for leaf in leaves] == [True, False, False]
    closer = image - 0.01 * image.grad
    assert (closer - foreground).norm(dim=1).mean() - (closer - background).norm(dim=1).mean() < (
        image - foreground
    ).norm(dim=1).mean() - (image - background).norm(dim=1).mean()


def test_pull_push_is_zero_beyond_the_margin():
    image, foreground, background = torch.eye(3)[:1].requires_grad_(), torch.eye(3)[:1], -torch.eye(3)[:1]
    loss = pull_push(image, foreground, background, 1.5)
    loss.backward()
    assert loss.item() == 0 and image.grad is not None and not image.grad.any()


def test_pull_push_has_a_finite_gradient_for_equal_views():
    image = unit(2, 4, seed=0).requires_grad_()
    pull_push(image, image, image, 1.5).backward()
    assert image.grad is not None and image.grad.isfinite().all()


def test_background_alignment_is_cross_entropy_with_the_nearest_prompt():
    background, phrases, scale = unit(6, 5, seed=1), unit(4, 5, seed=2), torch.tensor(7.0)
    total = 0.0
    for feature in background:
        cosines = [sum(a * b for a, b in zip(feature.tolist(), p.tolist(), strict=True)) for p in phrases]
        exponentials = [math.exp(7 * c) for c in cosines]
        total -= math.log(max(exponentials) / sum(exponentials))
    assert background_alignment_loss(background, phrases, scale).item() == pytest.approx(total / 6, rel=1e-5)


def test_background_alignment_has_gradients_for_backgrounds_and_prompts():
    background, phrases = learned(3, 5, seed=1), learned(4, 5, seed=2)
    background_alignment_loss(background, phrases, torch.tensor(3.0)).backward()
    assert background.grad is not None and background.grad.any()
    assert phrases.grad is not None and phrases.grad.any()
