"""Two small runs behind the functions of the page."""

from __future__ import annotations

import pytest

import cliptune as ct
from cliptune.app.comparison import Comparison
from cliptune.app.corrections import Corrections
from cliptune.app.page import Page
from cliptune.serving.classifier import Classifier
from cliptune.serving.limits import Limits

NAMES = ("coop", "linear_probe")
LIMITS = Limits(max_file_mib=1, max_images=3, max_classes=20)


@pytest.fixture(scope="session")
def runs(tmp_path_factory, photos):
    """CoOp, which takes other classes, and a linear probe, which does not."""
    folder = tmp_path_factory.mktemp("runs")
    for name in NAMES:
        ct.train(name, data=f"folder:{photos}", shots=2, epochs=1, out=folder / name)
    return [(name, ct.load(folder / name)) for name in NAMES]


@pytest.fixture
def comparison(runs):
    return Comparison([(name, Classifier(run)) for name, run in runs], LIMITS)


@pytest.fixture
def page(comparison, tmp_path):
    return Page(comparison, Corrections(tmp_path / "corrections"))
