"""Fixtures of the tests of public datasets."""

import pytest

import mini_public_datasets
from cliptune.data import public


@pytest.fixture
def pets(tmp_path):
    """A root with a few pets, and their split."""
    return tmp_path, mini_public_datasets.write_dataset(public.specs()["oxford_pets"], tmp_path)
