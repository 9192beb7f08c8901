"""`PromptClassifier` on drawings: equal to `ct.train`, its outputs, parameters, pickles and runs."""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import cliptune as ct
from cliptune.methods.coop import CoOp
from cliptune.sklearn import PromptClassifier
from python_datasets import CLASSNAMES, labeled_images
from tiny_tasks import learned, same

SETTINGS = {"epochs": 2, "n_ctx": 2, "lr": 0.05, "batch_size": 12}


def parameters(classifier):
    return learned(classifier.tuned_.model)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("augment", ["crop", "none"])
def test_fit_equals_train_to_the_bit(narrow, drawings, augment, cache):
    rows = labeled_images()
    order = np.random.default_rng(0).permutation(len(rows))  # training sorts by class, as folders are
    X, y = [drawings[0][i] for i in order], drawings[1][order]
    settings = {**SETTINGS, "augment": augment, "preset": "none"}
    fitted = PromptClassifier(
        "coop", backbone="tiny", shots=4, random_state=7, cache=cache, options={"weight_decay": 0.01}, **settings
    ).fit(X, y)
    sorted_rows = [rows[i] for label in range(3) for i in order if rows[i][1] == label]
    data = ct.from_torch(sorted_rows, CLASSNAMES, test=rows)
    run = ct.train("coop", data, backbone="tiny", shots=4, seed=7, weight_decay=0.01, cache=cache, **settings)
    assert same(parameters(fitted), learned(run.model))
    assert fitted.loss_curve_ == [row["loss"] for row in run.result.history] and fitted.n_iter_ == 2
    assert np.array_equal(fitted.predict(X), [name for name, _ in run.predict(X)])


def test_outputs(quick, drawings):
    X, y = drawings
    assert quick.fit(X, y) is quick
    assert quick.classes_.tolist() == CLASSNAMES and quick.tuned_.classnames == tuple(CLASSNAMES)
    logits, shares = quick.decision_function(X), quick.predict_proba(X)
    assert logits.shape == shares.shape == (24, 3)
    assert np.allclose(shares.sum(1), 1, rtol=0, atol=1e-12)
    assert np.allclose(logits, quick.tuned_.logits(X).numpy(), atol=1e-3)
    assert np.array_equal(quick.predict(X), quick.classes_[shares.argmax(1)])
    assert quick.score(X, y) == np.mean(quick.predict(X) == y)
    assert np.allclose(quick.predict_proba(X[5:6])[0], shares[5], atol=1e-4)


def test_two_classes_have_one_column(quick, drawings):
    X, y = drawings
    two = quick.fit(X[:16], y[:16])
    logits = two.decision_function(X)
    assert logits.shape == (24,) and np.array_equal(logits > 0, two.predict(X) == two.classes_[1])


def test_pickles_predict_the_same(quick, drawings):
    X, y = drawings
    quick.fit(X, y)
    content = pickle.dumps(quick)
    assert len(content) < 10_000, "the backbone is not in it"
    again = pickle.loads(content)
    assert np.array_equal(again.predict_proba(X), quick.predict_proba(X))
    assert same(parameters(again), parameters(quick)) and again.get_params() == quick.get_params()
    assert quick.tuned_.model is not None, "pickling leaves it fitted"
    assert pickle.loads(pickle.dumps(clone(quick))).get_params() == quick.get_params()


def test_parameters(quick):
    quick.set_params(options={"momentum": 0.5})
    assert quick.get_params()["options__momentum"] == 0.5
    before = quick.options
    quick.set_params(lr=0.1, options__momentum=0.7, options__weight_decay=0.0)
    assert quick.lr == 0.1 and quick.options == {"momentum": 0.7, "weight_decay": 0.0}
    assert before == {"momentum": 0.5}, "a clone may share it"
    copy = clone(quick)
    assert copy.get_params() == quick.get_params() and copy is not quick
    with pytest.raises(ValueError, match="Invalid parameter 'rate'"):
        quick.set_params(rate=1)


def test_numbers_of_numpy_and_methods_are_settings(narrow, drawings):
    X, y = drawings
    fitted = PromptClassifier(CoOp(n_ctx=3), backbone="narrow", epochs=np.int64(1), lr=np.float32(0.5)).fit(X, y)
    assert fitted.tuned_.run.training.lr == 0.5 and parameters(fitted)["text"].shape[0] == 3


def test_random_state(quick, drawings):
    X, y = drawings

    def fit(state):
        return parameters(clone(quick).set_params(random_state=state).fit(X, y))

    assert same(fit(3), fit(np.int64(3))) and not same(fit(3), fit(4))
    assert same(fit(np.random.RandomState(0)), fit(np.random.RandomState(0)))
    assert not same(fit(None), fit(None))


def test_validation_images_are_set_aside_if_needed(quick, drawings):
    quick.set_params(options={"keep": "best"})
    with pytest.warns(UserWarning, match="6 of 24 training images are set aside") as caught:
        quick.fit(*drawings)
    assert Path(caught[0].filename) == Path(__file__), "the line that calls fit"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quick.fit(*drawings)
    assert not caught, "each warning is given once"


def test_a_run_is_a_fitted_classifier(narrow, drawings, tmp_path):
    X, y = drawings
    data = ct.from_torch(
        [(image, 2 - label) for image, label in labeled_images()], CLASSNAMES[::-1], test=labeled_images()
    )
    run = ct.train(
        "coop", data, backbone="tiny", preset="none", momentum=0.5, shots=0, out=tmp_path / "run", **SETTINGS
    )
    for given in (run, tmp_path / "run"):
        loaded = PromptClassifier.from_run(given)
        assert loaded.classes_.tolist() == CLASSNAMES
        assert loaded.predict(X).tolist() == [name for name, _ in run.predict(X)]
        assert np.allclose(loaded.predict_proba(X)[:, ::-1], run.logits(X).softmax(-1).numpy(), atol=1e-5)
    again = clone(loaded).set_params(class_names={"pig": "pig"}).fit(X, y)
    assert again.tuned_.run.training == run.run.training and again.tuned_.run.method == run.run.method


def test_methods_with_masks_and_settings_of_presets(narrow, drawings):
    X, y = drawings
    options = {"masks_from": "grid", "depth": 2, "min_steps": 0}
    fitted = PromptClassifier("maple+dapt", backbone="tiny", epochs=1, options=options)
    assert fitted.fit(X, y).predict(X).shape == (24,)


def test_not_fitted(quick, drawings):
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError, match="Call 'fit'"):
            getattr(quick, method)(drawings[0])


def test_importing_cliptune_imports_no_scikit_learn():
    code = "import cliptune, sys; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_missing_scikit_learn_is_one_sentence():
    code = "import sys; sys.modules['sklearn'] = None; import cliptune.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "cliptune[sklearn]"' in done.stderr.splitlines()[-1]


def test_tensors_on_the_same_images_agree_with_arrays(quick, drawings):
    X, y = drawings
    quick.fit(X, y)
    tensors = torch.from_numpy(X).permute(0, 3, 1, 2)
    assert np.array_equal(quick.predict_proba(tensors), quick.predict_proba(X))
