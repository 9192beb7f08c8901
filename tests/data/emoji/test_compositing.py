"""Compositing: poses place the drawing, and the mask is the alpha used for compositing."""

import numpy as np
import torch

from cliptune.data.emoji.compositing import affine_matrices, alpha_over, halve, premultiply_alpha, warp_sprites


def square(side=20):
    return premultiply_alpha(np.full((1, side, side, 4), 255, np.uint8))


def test_a_pose_places_the_drawing():
    drawn = warp_sprites(square(), affine_matrices(np.array([[0.5, 0.0, 1.0, 0.5, -0.25]])), 64)[0, 3]
    ys, xs = torch.nonzero(drawn > 0.5, as_tuple=True)
    # Half the side of 64, its centre at (0.5, -0.25) of [-1, 1]: 48 and 24 pixels.
    assert (xs.min(), xs.max()) == (32, 63)
    assert (ys.min(), ys.max()) == (8, 39)


def test_flip_mirrors_and_rotation_preserves_the_area():
    half = square().clone()
    half[..., :10] = 0
    plain, flipped = (warp_sprites(half, affine_matrices(np.array([[0.5, 0.0, f, 0.0, 0.0]])), 64) for f in (1.0, -1.0))
    assert torch.allclose(plain, flipped.flip(3), atol=1e-6)
    turned = warp_sprites(half, affine_matrices(np.array([[0.5, 0.25, 1.0, 0.0, 0.0]])), 64)
    assert abs(turned.sum() / plain.sum() - 1) < 0.05


def test_alpha_over_by_hand():
    drawing = torch.tensor([0.5, 0.25, 0.0, 0.5]).view(1, 4, 1, 1)
    ground = torch.full((1, 3, 1, 1), 100, dtype=torch.uint8)
    one = torch.ones(1, 3)
    image, mask = alpha_over(drawing, one, ground, one)
    alpha = 128 / 255  # rounded to an integer level before use
    assert mask.item() == 128
    expected = [round(255 * min(c, alpha) + (1 - alpha) * 100) for c in (0.5, 0.25, 0.0)]
    assert image.flatten().tolist() == expected


def test_a_transparent_drawing_leaves_the_background():
    ground = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image, mask = alpha_over(torch.zeros(2, 4, 8, 8), torch.ones(2, 3), ground, torch.ones(2, 3))
    assert torch.equal(image, ground) and not mask.any()


def test_half_size_preserves_the_mean():
    assert halve(square()).shape == (1, 4, 10, 10)
    assert torch.allclose(halve(square()).mean(), square().mean())
