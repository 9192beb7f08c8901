"""What every test shares."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is first imported
os.environ.setdefault("MPLBACKEND", "agg")

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(2)  # the same order of summation on every machine


@pytest.fixture(scope="session")
def tiny_backbone():
    """The backbone in the package. Shared: tests must not change it."""
    from cliptune.backbones.load import load

    return load("tiny")
