"""What tests of sources share."""

import pytest

import standins
from cliptune.data import sources


@pytest.fixture
def pets(tmp_path):
    """A root with a few pets, and their split."""
    return tmp_path, standins.write(sources.cards()["oxford_pets"], tmp_path)
