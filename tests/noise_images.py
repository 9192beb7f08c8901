"""Small noise and colour images, and seeded generators."""

import numpy as np
import torch
from PIL import Image


def noise_image(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8))


def seeded_generator(seed):
    return np.random.Generator(np.random.Philox(seed))


def colour_tensor():
    """A PIL image of 12 x 10 pixels, each with its own colour."""
    ramp = np.linspace(0, 255, 12 * 10).astype(np.uint8).reshape(10, 12)
    return Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], -1))
