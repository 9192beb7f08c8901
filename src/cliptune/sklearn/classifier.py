"""`PromptClassifier`, a scikit-learn classifier of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from cliptune.backbones.bundled import AUTO
from cliptune.model.method import Method
from cliptune.sklearn.images import ImageDataset, image_list
from cliptune.sklearn.labels import ClassNames, encode_labels, names_of_classes
from cliptune.sklearn.settings import OPTIONS, params_of, run_config
from cliptune.sklearn.stored import from_bytes, to_bytes
from cliptune.sklearn.training import image_logits, one_at_a_time, train_on
from cliptune.sklearn.warn_once import each_warning_once
from cliptune.tuned import Tuned, load


class PromptClassifier(ClassifierMixin, BaseEstimator):
    """A CLIP tuned on images, as a scikit-learn classifier.

    `fit(X, y)` tunes it on all images as `ct.train` does: with the same images, seed and settings, parameters are equal
    to the bit; to rounding, if `augment="none"` lets it reuse features. Images are paths, PIL images, arrays
    `(H, W, 3)` (uint8, or float in [0, 1]) or the content of image files, in a list, a `pandas.Series` or an array of
    objects, also mixed; or one array `(N, H, W, 3)`.

    Settings that are None are those of the preset. In a search, all parameters have their plain name, and other
    options are `options__NAME`.

    Args:
        method: A name such as "coop" or "maple+dapt", or a method object.
        backbone: A name as for `load_backbone`. "auto": the small bundled backbone for photographs.
        pretrained: Tag or file of the weights of the backbone.
        preset: Defaults of the options, as for `ct.train`.
        shots: Training images per class that are drawn from those given; 0 takes all.
        class_names: Names of the classes, which CLIP reads: a mapping from label to name, or a list of names for labels
            0, 1, ...; of labels that are no integers, in sorted order. None: the labels, which must be strings.
        epochs: Number of epochs.
        lr: Base learning rate.
        batch_size: Images per step.
        augment: Training views, such as "crop" or "none". With "none", methods that leave the image tower as it is
            encode each training view once for all fits, also of other processes.
        n_ctx: Number of context vectors, of methods that have them.
        precision: Precision of the frozen towers: "32", "bf16" or "16".
        device: "auto", "cpu", "cuda" or "mps".
        cache: Store decoded images and features in the cache folder, and reuse features of a frozen image tower in all
            fits and predictions with the same backbone. False computes everything again.
        random_state: Seed of the few-shot sample, the initial parameters and the order of the images. None draws one
            for each fit.
        options: Further fields of `TrainConfig`, `DataConfig`, `RunConfig` or the method, by name.

    Attributes:
        classes_: The labels, sorted.
        tuned_: The tuned model, a `Tuned`, to save, export and inspect.
        loss_curve_: Mean loss of each epoch.
        n_iter_: Number of epochs.

    Raises:
        UserError: A `ValueError`, if images, labels or settings cannot be used; the message says why.
    """

    def __init__(
        self,
        method: str | Method = "coop",
        *,
        backbone: str = AUTO,
        pretrained: str = "",
        preset: str = "auto",
        shots: int = 0,
        class_names: ClassNames | None = None,
        epochs: int | None = None,
        lr: float | None = None,
        batch_size: int | None = None,
        augment: str | None = None,
        n_ctx: int | None = None,
        precision: str = "32",
        device: str = "auto",
        cache: bool = True,
        random_state: int | np.random.RandomState | None = 1,
        options: Mapping[str, Any] | None = None,
    ):
        self.method = method
        self.backbone = backbone
        self.pretrained = pretrained
        self.preset = preset
        self.shots = shots
        self.class_names = class_names
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.augment = augment
        self.n_ctx = n_ctx
        self.precision = precision
        self.device = device
        self.cache = cache
        self.random_state = random_state
        self.options = options

    @classmethod
    def from_run(cls, run: str | Path | Tuned) -> Self:
        """A fitted classifier of a run, whose labels are the class names.

        `fit` on a clone of it trains with the settings of the run.

        Args:
            run: A run directory, a checkpoint file, or a tuned model.
        """
        tuned = run if isinstance(run, Tuned) else load(run)
        classifier = cls(**params_of(tuned.run))
        classifier.tuned_, names = tuned, np.array(tuned.classnames)
        classifier._columns = np.argsort(names)
        classifier.classes_ = names[classifier._columns]
        return classifier

    def fit(self, X: Any, y: Any) -> Self:
        """Tune on the images `X` with the labels `y`. Each warning is given once per process."""
        images = image_list(X)
        classes, labels = encode_labels(y, len(images))
        run = run_config(self.get_params(deep=False))
        with one_at_a_time, each_warning_once():
            names = names_of_classes(classes, self.class_names, run.reading.raw_names)
            self.tuned_, history = train_on(run, ImageDataset(images, labels.tolist(), names))
        self.classes_, self._columns = classes, np.arange(len(classes))
        self.loss_curve_ = [row["loss"] for row in history]
        self.n_iter_ = len(history)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits `(n, n_classes)`; with two classes `(n,)`, how much the second one exceeds the first."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities `(n, n_classes)` in the order of `classes_`."""
        logits = self._logits(X)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each image."""
        best = self._logits(X).argmax(1)
        return self.classes_[best]

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "tuned_")
        return image_logits(self.tuned_, ImageDataset(image_list(X))).double().numpy()[:, self._columns]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name. deep: Also the `options`, as `options__NAME`."""
        params = super().get_params(deep=False)
        if deep and isinstance(self.options, Mapping):
            params |= {OPTIONS + name: value for name, value in self.options.items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, and `options` by `options__NAME`."""
        own = {name: value for name, value in params.items() if not name.startswith(OPTIONS)}
        super().set_params(**own)
        if changed := {name.removeprefix(OPTIONS): value for name, value in params.items() if name not in own}:
            self.options = {**(self.options or {}), **changed}
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {**super().__getstate__()}  # type: ignore[dict-item]
        if "tuned_" in state:
            state["tuned_"] = to_bytes(state["tuned_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "tuned_" in state:
            state["tuned_"] = from_bytes(state["tuned_"])
        super().__setstate__(state)
