"""Pictures of noise, and random streams."""

import numpy as np
import torch


def noise(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8))


def generator(seed):
    return np.random.Generator(np.random.Philox(seed))
