"""Crops and shares of `tools/photos`, which trains the bundled backbone for photographs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

FILE = Path(__file__).parents[1] / "tools" / "photos" / "photographs.py"


@pytest.fixture(scope="module")
def photographs() -> Iterator[ModuleType]:
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("photographs", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before


def squares() -> list[np.ndarray]:
    """Two images of different sizes."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (8, 16)]


def planes(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).float()


def test_whole_squares_at_their_own_size_stay(photographs):
    for image in squares():
        (out,) = photographs.warp([image], np.array([[0.0, 0.0, 1.0, 1.0]]), len(image))
        torch.testing.assert_close(out, planes(image), rtol=0, atol=1e-3)


def test_negative_width_mirrors(photographs):
    image = squares()[0]
    (out,) = photographs.warp([image], np.array([[0.0, 0.0, -1.0, 1.0]]), 8)
    torch.testing.assert_close(out, planes(image).flip(2), rtol=0, atol=1e-3)


def test_a_box_is_that_part_of_its_own_square(photographs):
    small, large = squares()
    out = photographs.warp([small, large], np.array([[0.25, 0.5, 0.5, 0.5], [0.5, 0.0, 0.5, 0.5]]), 4)
    torch.testing.assert_close(out[0], planes(small)[:, 4:8, 2:6], rtol=0, atol=1e-3)
    half = planes(large)[:, 0:8, 8:16].reshape(3, 4, 2, 4, 2).mean((2, 4))  # bilinear at half the size
    torch.testing.assert_close(out[1], half, rtol=0, atol=1e-3)


def test_shares_add_up_and_keep_to_the_passes(photographs):
    rows = {"large": 1000, "small": 10}
    sources = {name: [{"label": str(i % 5)} for i in range(n)] for name, n in rows.items()}
    found = photographs.shares(sources, images=2000, passes=5)
    assert found["small"] == pytest.approx(5 * 10 / 2000)
    assert sum(found.values()) == pytest.approx(1)
    free = photographs.shares(sources, images=100, passes=1000)
    assert free["large"] / free["small"] == pytest.approx(10)  # root of 100
    more = photographs.shares(sources, images=100, passes=1000, factors={"small": 3})
    assert more["large"] / more["small"] == pytest.approx(10 / 3)
