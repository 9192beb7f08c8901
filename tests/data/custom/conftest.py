"""What the tests of image tables share."""

import pytest
from PIL import Image


@pytest.fixture
def pictures(tmp_path):
    """`photos/cat/0.png` ... `9.png`, and as many of `red_fox`; gives their paths."""
    names = [f"photos/{name}/{i}.png" for name in ("cat", "red_fox") for i in range(10)]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (int(path.stem), 0, 0)).save(path)
    return names
