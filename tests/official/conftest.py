"""Checkpoint files in the authors' format."""

import pytest

from official_files import save
from official_models import METHODS, NAMES, official_state, trained_model


@pytest.fixture
def file(tmp_path):
    """A function that writes the official file of a model of METHODS on a backbone."""

    def write(key, of, names=NAMES, **more):
        model = trained_model(METHODS[key][0], of, names)
        return save(tmp_path / "model.pth.tar-5", official_state(key, model), **more), model

    return write
