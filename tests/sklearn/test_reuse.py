"""Features of a frozen image tower are computed once: across fits, folds, settings and processes."""

import sqlite3

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import tiny_clips
from cliptune.backbones import feature_memo
from cliptune.backbones.backbone import Backbone
from cliptune.sklearn import PromptClassifier
from python_datasets import CLASSNAMES
from tiny_tasks import learned


@pytest.fixture
def exact(quick):
    """A classifier that sees an image in the same view when it is tuned and when it predicts."""
    return quick.set_params(options={"exact_resize": True})


@pytest.fixture
def encoded(monkeypatch):
    """The number of images in each pass of the frozen image tower."""
    sizes = []
    encode = Backbone._encode_frozen

    def counting(self, images, prompts):
        sizes.append(len(images))
        return encode(self, images, prompts)

    monkeypatch.setattr(Backbone, "_encode_frozen", counting)
    return sizes


def stored(tmp_path):
    """The number of features in the file, and the number of times one was written."""
    with sqlite3.connect(tmp_path / "cache" / "features.sqlite") as database:
        return database.execute("SELECT COUNT(*), MAX(rowid) FROM features").fetchone()


def test_cross_validation_encodes_each_image_once(exact, drawings, encoded, tmp_path):
    X, y = drawings
    scores = cross_val_score(exact, X, y, cv=3)
    assert len(scores) == 3 and sum(encoded) == 24
    answers = cross_val_predict(exact, X, y, cv=3)
    assert np.mean(answers == y) == pytest.approx(np.mean(scores)) and sum(encoded) == 24
    assert stored(tmp_path) == (24, 24)


def test_each_view_is_encoded_once(quick, drawings, encoded):
    X, y = drawings
    cross_val_score(quick, X, y, cv=3)
    views = sum(encoded)
    assert 24 < views <= 48, "PyTorch resizes some training views one grey level off"
    GridSearchCV(quick, {"lr": [0.01, 0.1]}, cv=3).fit(X, y).score(X, y)
    assert sum(encoded) == views


def test_a_search_encodes_each_image_once(exact, drawings, encoded):
    grid = [{"lr": [0.01, 0.1], "n_ctx": [1, 2]}, {"method": ["zeroshot", "linear_probe"], "n_ctx": [None]}]
    search = GridSearchCV(exact, grid, cv=2, error_score="raise").fit(*drawings)
    assert sum(encoded) == 24 and len(search.cv_results_["params"]) == 6
    assert search.predict(drawings[0]).shape == (24,)


def test_options_in_a_search(quick, drawings):
    search = GridSearchCV(quick, {"options__momentum": [0.1, 0.9]}, cv=2, error_score="raise").fit(*drawings)
    assert search.best_estimator_.tuned_.run.training.momentum in (0.1, 0.9)


def test_another_process_reads_the_features(exact, drawings, encoded, tmp_path):
    X, y = drawings
    first = clone(exact).fit(X, y).predict_proba(X)
    tiny_clips.backbone("deep_image")._memo._rows.clear()  # as in another process
    assert np.array_equal(clone(exact).fit(X, y).predict_proba(X), first)
    assert sum(encoded) == 24 and stored(tmp_path) == (24, 24)


@pytest.mark.filterwarnings("ignore")
def test_two_processes_share_the_work(drawings, tmp_path, forgotten_features):
    X, y = drawings
    classifier = PromptClassifier("linear_probe", backbone="tiny", epochs=1, augment="none")
    with joblib.parallel_config(backend="multiprocessing"):
        scores = cross_val_score(classifier, X, y, cv=2, n_jobs=2)
    assert np.isfinite(scores).all() and stored(tmp_path) == (24, 24)


def test_threads_take_turns(exact, drawings, encoded):
    X, y = drawings
    alone = cross_val_score(exact, X, y, cv=3)
    with joblib.parallel_config(backend="threading"):
        scores = cross_val_score(exact.set_params(augment="crop"), X, y, cv=3, n_jobs=3)
        assert len(scores) == 3
        assert np.array_equal(cross_val_score(exact.set_params(augment="none"), X, y, cv=3, n_jobs=3), alone)
    assert not feature_memo.active()


def test_views_that_are_drawn_are_reused_to_the_bit(quick, drawings, encoded, tmp_path):
    X, y = drawings
    quick.set_params(augment="crop", epochs=2)

    def fit(**changed):
        return learned(clone(quick).set_params(**changed).fit(X, y).tuned_.model)["text"]

    first = fit()
    assert sum(encoded) == 48
    assert np.array_equal(fit(), first) and not np.array_equal(fit(lr=0.5), first) and sum(encoded) == 48
    fit(random_state=2)
    assert sum(encoded) == 96 and not (tmp_path / "cache" / "features.sqlite").exists()


def test_nothing_is_reused_without_the_cache(quick, drawings, encoded, tmp_path):
    quick.set_params(cache=False).fit(*drawings).predict(drawings[0])
    assert not encoded and not (tmp_path / "cache").exists()


def test_in_pipelines_and_ensembles(quick, drawings):
    X, y = drawings
    pipeline = make_pipeline(FunctionTransformer(lambda images: 255 - images), quick).fit(X, y)
    assert np.array_equal(pipeline.predict(X), clone(quick).fit(255 - X, y).predict(255 - X))
    calibrated = CalibratedClassifierCV(quick, cv=2).fit(X, y)
    assert np.allclose(calibrated.predict_proba(X).sum(1), 1) and calibrated.classes_.tolist() == [
        "cat",
        "horse",
        "pig",
    ]
    quick.set_params(class_names=["cat", "horse", "pig"])
    members = [("coop", quick), ("zeroshot", clone(quick).set_params(method="zeroshot", n_ctx=None))]
    voting = VotingClassifier(members, voting="soft").fit(X, y)
    assert set(voting.predict(X)) <= set(CLASSNAMES)
    assert voting.estimators_[0].tuned_.classnames == tuple(CLASSNAMES)
