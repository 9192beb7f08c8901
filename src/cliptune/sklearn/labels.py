"""Labels of an estimator: the classes, and their names in prompts."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from cliptune.data.custom.common.names import prompt_classnames
from cliptune.errors import UserError, shown
from cliptune.text import listed

ClassNames = Mapping[Any, str] | Sequence[str]


def encode_labels(y: Any, images: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes, sorted, and the index of each label among them.

    Raises `UserError`, or `ValueError` from scikit-learn, if `y` does not label `images` images with two or more
    classes.
    """
    if y is None:
        raise UserError("PromptClassifier requires y to be passed, but the target y is None; give one label per image")
    y = column_or_1d(y, warn=True)
    if len(y) != images:
        raise UserError(f"there are {images} images and {len(y)} labels; give one label per image")
    missing = [i for i, label in enumerate(y.tolist()) if label is None or label != label]
    if missing:
        raise UserError(f"y has no label for image {listed(missing)}; leave out images without a label")
    try:
        check_classification_targets(y)
        classes, indices = np.unique(y, return_inverse=True)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in y.tolist()})
        raise UserError(f"y has labels of several types ({', '.join(kinds)}); give labels of one type") from None
    if len(classes) < 2:
        raise UserError(
            f"y has one class only, {shown(classes.tolist()[0])}; classification needs at least two classes"
        )
    return classes, indices


def names_of_classes(classes: np.ndarray, given: ClassNames | None, raw: bool = False) -> tuple[str, ...]:
    """The names of classes in prompts: as given, otherwise labels that are strings, made readable.

    Args:
        given: By label; or in the order of integer labels from 0, or of the sorted other labels.
        raw: Keep labels as they are.

    Raises `UserError` if a label has no name, or two classes the same.
    """
    labels = classes.tolist()
    if given is None:
        unnamed = [label for label in labels if not isinstance(label, str)]
        if unnamed:
            example = f"class_names={{{shown(labels[0])}: 'cat', {shown(labels[1])}: 'dog'}}"
            raise UserError(
                f"the labels {listed(labels)} say nothing to CLIP's text tower (ensembles such as VotingClassifier "
                f"number all labels); name the classes, as in {example}"
            )
        return prompt_classnames(labels, "y", raw, hint="class_names={label: name} names them")
    if isinstance(given, Mapping):
        names = [given.get(label, label if isinstance(label, str) else None) for label in labels]
        unnamed = [label for label, name in zip(labels, names, strict=True) if name is None]
        if unnamed:
            raise UserError(f"class_names has no name for label {listed(map(shown, unnamed))}; add it")
    else:
        names = _from_sequence(labels, given)
    wrong = next((name for name in names if not isinstance(name, str) or not name.strip()), None)
    if wrong is not None:
        raise UserError(f"class_names contains {shown(wrong)}; a name is a string with letters")
    return prompt_classnames([str(name) for name in names], "y", raw=True)


def _from_sequence(labels: Sequence[Any], given: Sequence[str]) -> list[Any]:
    if isinstance(given, str) or not hasattr(given, "__len__"):
        raise UserError(f"class_names is {shown(given)}; give a list of names, or a mapping from label to name")
    if all(isinstance(label, numbers.Real) and float(label).is_integer() for label in labels):
        outside = [label for label in labels if not 0 <= label < len(given)]
        if outside:
            raise UserError(
                f"class_names is a list of {len(given)} names, for labels 0 to {len(given) - 1}, but a label is "
                f"{outside[0]}; give a mapping from label to name"
            )
        return [given[int(label)] for label in labels]
    if len(given) != len(labels):
        raise UserError(
            f"class_names is a list of {len(given)} names, but y has {len(labels)} classes ({listed(labels)}); give a "
            f"mapping from label to name"
        )
    return list(given)
