"""Labels of the estimator, and the names of their classes."""

import numpy as np
import pandas as pd
import pytest

from cliptune.errors import UserError
from cliptune.sklearn.labels import encode_labels, names_of_classes


def names(labels, given=None, raw=False):
    return names_of_classes(np.unique(np.array(labels)), given, raw)


def test_strings_are_their_names():
    assert names(["red_fox", "cat"]) == ("cat", "red fox")
    assert names(["red_fox", "cat"], raw=True) == ("cat", "red_fox")
    assert names(["red_fox", "cat"], {"cat": "tabby_cat"}) == ("tabby_cat", "red_fox")
    assert names(["b", "a"], ["first", "second"]) == ("first", "second")
    with pytest.warns(UserWarning, match="class names such as '0' in y are not words.*class_names="):
        names(["0", "1"])


def test_integers_are_named():
    assert names([3, 7], {3: "cat", 7: "dog", 9: "horse"}) == ("cat", "dog")
    assert names([0, 2], ["cat", "dog", "horse"]) == ("cat", "horse")
    assert names([0.0, 1.0], ["cat", "dog"]) == names([False, True], ["cat", "dog"]) == ("cat", "dog")
    assert names([0, 1], np.array(["cat", "dog"])) == names([0, 1], pd.Series(["cat", "dog"])) == ("cat", "dog")


@pytest.mark.parametrize(
    "labels, given, match",
    [
        ([0, 1], None, r"labels 0, 1 say nothing .*VotingClassifier.*class_names=\{0: 'cat', 1: 'dog'\}"),
        ([False, True], None, "class_names="),
        ([0, 1], {0: "cat"}, "no name for label 1"),
        ([1, 2], ["cat", "dog"], "for labels 0 to 1, but a label is 2"),
        ([-1, 1], ["cat", "dog"], "a label is -1"),
        (["a", "b", "c"], ["cat", "dog"], "2 names, but y has 3 classes"),
        ([0, 1], "cat", "class_names is 'cat'"),
        ([0, 1], 3, "class_names is 3"),
        ([0, 1], ["cat", ""], "class_names contains ''"),
        ([0, 1], ["cat", 5], "class_names contains 5"),
        ([0, 1], ["cat", "Cat"], "read as 'cat'"),
    ],
)
def test_names_that_are_refused(labels, given, match):
    with pytest.raises(UserError, match=match):
        names(labels, given)


@pytest.mark.parametrize(
    "y, match",
    [
        (None, "requires y to be passed"),
        (["a", "b"], "3 images and 2 labels"),
        (["a"] * 3, "one class only, 'a'"),
        (["a", None, "b"], "no label for image 1"),
        (pd.Series(["a", "b", np.nan]), "no label for image 2"),
        ([1.0, np.nan, 2.0], "no label for image 1"),
        ([0.5, 1.2, 2.7], "continuous"),
        (np.array(["a", 1, "b"], dtype=object), "several types|Unknown label type"),
        ([["a", "b"], ["c", "d"], ["e", "f"]], "1d array"),
    ],
)
def test_labels_that_are_refused(y, match):
    with pytest.raises(ValueError, match=match):
        encode_labels(y, 3)


def test_classes_are_sorted():
    classes, indices = encode_labels(pd.Series(["b", "a", "b"], index=[5, 6, 7]), 3)
    assert classes.tolist() == ["a", "b"] and indices.tolist() == [1, 0, 1]
    classes, _ = encode_labels(pd.Categorical(["b", "a", "b"]), 3)
    assert classes.tolist() == ["a", "b"]
