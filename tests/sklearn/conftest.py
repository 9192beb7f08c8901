"""Fixtures for tests of the estimator."""

import numpy as np
import pytest

import tiny_clips
from cliptune.backbones.feature_memo import FeatureMemo
from cliptune.sklearn import PromptClassifier
from cliptune.sklearn.warn_once import warn_once
from python_datasets import CLASSNAMES, labeled_images


@pytest.fixture
def narrow(monkeypatch, tmp_path):
    """A narrow random CLIP in place of any backbone. Features and warnings of earlier tests are forgotten."""
    warn_once.cache_clear()
    monkeypatch.setenv("CLIPTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tiny_clips.backbone("deep_image"), "_memo", FeatureMemo())
    for module in ("experiment", "model_io"):
        monkeypatch.setattr(f"cliptune.{module}.cached_backbone", lambda *args: tiny_clips.backbone("deep_image"))


@pytest.fixture(scope="session")
def drawings():
    """Arrays `(24, 64, 64, 3)` of three classes of drawings, and their labels."""
    rows = labeled_images()
    return np.stack([image.permute(1, 2, 0).numpy() for image, _ in rows]), np.array([CLASSNAMES[c] for _, c in rows])


@pytest.fixture
def quick(narrow):
    """A classifier that fits in a moment."""
    return PromptClassifier("coop", backbone="narrow", preset="none", epochs=1, n_ctx=1, augment="none", batch_size=8)
