"""Fixtures of the disk cache tests."""

import numpy as np
import pytest
import torch

from cliptune.data import disk_cache
from cliptune.files import CACHE_VARIABLE
from cliptune.types import DecodedImage


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A temporary store, which `disk_cache.user_cache` returns as well."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "store"))
    monkeypatch.setattr(disk_cache, "MIN_ENTRY_BYTES", 0)
    return disk_cache.user_cache()


@pytest.fixture
def make_image():
    """A function that makes an image of noise, the same for a seed."""

    def make(seed=0, mask=True, size=(9, 7)):
        rng = np.random.default_rng(seed)
        image = torch.from_numpy(rng.integers(0, 256, (3, *size), dtype=np.uint8))
        return DecodedImage(image, torch.from_numpy(rng.integers(0, 256, (1, *size), dtype=np.uint8)) if mask else None)

    return make
