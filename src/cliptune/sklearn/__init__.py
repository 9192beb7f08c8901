"""A scikit-learn estimator: `from cliptune.sklearn import PromptClassifier`. Needs scikit-learn."""

from __future__ import annotations

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError:
    raise ImportError(
        'cliptune.sklearn needs scikit-learn, which is not installed: pip install "cliptune[sklearn]"'
    ) from None

from cliptune.sklearn.classifier import PromptClassifier as PromptClassifier

__all__ = ["PromptClassifier"]
