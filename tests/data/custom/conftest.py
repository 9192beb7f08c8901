"""Shared fixtures of the tests of image tables."""

import pytest
from PIL import Image


@pytest.fixture
def image_paths(tmp_path):
    """The relative paths of 20 images: `photos/cat/0.png` to `9.png`, and the same of `red_fox`."""
    names = [f"photos/{name}/{i}.png" for name in ("cat", "red_fox") for i in range(10)]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (int(path.stem), 0, 0)).save(path)
    return names
