"""scikit-learn's own checks of estimators. They fit rows of numbers, of which a subclass makes images."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from cliptune.sklearn import PromptClassifier

SIDE = 4


class RowClassifier(PromptClassifier):
    """Classifies rows of numbers by images of their first values, one row of four pixels each. Labels are named by
    their position."""

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        names = {label: f"class {place}" for place, label in enumerate(np.unique(y).tolist())}
        self.class_names, before = names, self.class_names
        try:
            return super().fit(images_of(X), y)
        finally:
            self.class_names = before

    def _logits(self, X):
        check_is_fitted(self)
        return super()._logits(images_of(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        tags.classifier_tags.poor_score = True  # a random tower, and images of noise
        return tags


def images_of(X):
    """Images `(n, 4, 4, 3)` in [0, 1]."""
    values = np.zeros((len(X), SIDE * SIDE))
    values[:, : min(X.shape[1], SIDE * SIDE)] = X[:, : SIDE * SIDE]
    grey = (0.5 + np.arctan(values) / np.pi).reshape(-1, SIDE, SIDE, 1)
    return np.repeat(grey, 3, 3)


#: Checks that do not apply, and why.
LEFT_OUT = {"check_methods_subset_invariance": "float32 rounds differently in batches of other sizes"}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [RowClassifier("linear_probe", backbone="narrow", epochs=1, lr=1.0, augment="none", preset="none")]
)
def test_scikit_learn(narrow, estimator, check):
    if reason := LEFT_OUT.get(check.func.__name__):
        pytest.skip(reason)
    check(estimator)
