"""The images that an estimator is given, as a list and as a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from cliptune.data.config import DataConfig
from cliptune.data.custom.common.build import cut_splits
from cliptune.data.dataset import Dataset
from cliptune.data.image_inputs import image_path, is_image, read_image_input
from cliptune.data.read_errors import UnreadableImageError
from cliptune.errors import UserError, shown
from cliptune.types import DecodedImage, Example

EXPECTED = "expected paths, PIL images or arrays (H, W, 3) in a list, or one array (N, H, W, 3)"


def image_list(X: Any) -> list[Any]:
    """The images of `X`, which is not read further than needed to see what they are.

    Raises `UserError` if `X` is a single image or contains anything but images; rows of numbers are no images.
    """
    if hasattr(X, "iloc") and getattr(X, "ndim", 1) == 2:  # a data frame
        X = X.to_numpy()
    if isinstance(X, (np.ndarray, Tensor)):
        return _of_array(X)
    if is_image(X):
        raise UserError(f"X is a single image, {shown(X)}; give a list of images")
    if isinstance(X, (set, frozenset, Mapping)) or not isinstance(X, Iterable):
        raise UserError(f"X is a {type(X).__name__}; {EXPECTED}")
    images = list(X)
    wrong = next((i for i, image in enumerate(images) if not is_image(image)), None)
    if wrong is not None:
        raise UserError(f"image {wrong} is a {type(images[wrong]).__name__}, {shown(images[wrong])}; {EXPECTED}")
    if not images:
        raise UserError("X has no images; give at least one")
    return images


def _of_array(X: Any) -> list[Any]:
    """The images of an array or a tensor of images, or of an array of objects."""
    shape = tuple(X.shape)
    if isinstance(X, np.ndarray) and X.dtype.kind in "OU":
        if len(shape) == 2 and shape[1] == 1:
            shape, X = shape[:1], X[:, 0]
        if len(shape) == 1:
            return image_list(X.tolist())
        raise UserError(f"X has objects or text in the shape {shape}; give one column, or a list of images")
    if len(shape) == 3 and shape[0 if isinstance(X, Tensor) else -1] in (3, 4):
        raise UserError(f"X has the shape {shape}, which is a single image; give a list of images")
    if len(shape) not in (3, 4):
        raise UserError(f"X has the shape {shape}, but rows of numbers are no images; {EXPECTED}")
    return image_list(list(X))


class ImageDataset(Dataset):
    """Training images as an estimator is given them, in the order of their classes; or, without labels, images to
    predict.

    Args:
        images: As `image_list` returns them.
        labels: Indices into `classnames`.
        classnames: Names in prompts.

    Raises:
        UserError: If there is nothing at a path.
    """

    name = "images"

    def __init__(self, images: Sequence[Any], labels: Sequence[int] = (), classnames: Sequence[str] = ()):
        self.classnames = tuple(classnames)
        self._images = images
        labels = labels if len(labels) else [0] * len(images)
        self.all_examples = tuple(self._example(i, label) for i, label in enumerate(labels))
        groups: dict[str, list[Example]] = {str(label): [] for label in range(len(classnames))}
        for example in self.all_examples if groups else ():
            groups[str(example.label)].append(example)
        self._train = [e for group in groups.values() for e in group]
        self._groups = {"train": groups, "test": {}}

    def _example(self, i: int, label: int) -> Example:
        image = self._images[i]
        path = image_path(image) if isinstance(image, (str, os.PathLike)) else None
        return Example(f"image {i}" if path is None else os.path.abspath(path), int(label), path)

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig) -> ImageDataset:
        raise NotImplementedError

    @cached_property
    def reads_files(self) -> bool:  # type: ignore[override]
        return all(e.path is not None for e in self.all_examples)

    def examples(self, split: str) -> list[Example]:
        return self._train if split == "train" else []

    def aside(self) -> list[Example]:
        return cut_splits(self._groups, list(self._groups["train"]))["val"]

    def read(self, example: Example) -> DecodedImage:
        if example.path is not None:
            return super().read(example)
        place = int(example.key.removeprefix("image "))
        try:
            return read_image_input(self._images[place], example.key)
        except UnreadableImageError:
            raise
        except UserError as error:
            raise ImageError(example.key, str(error)) from None


class ImageError(UserError):
    """An image that is no file cannot be read. `reason` continues its name, as for `UnreadableImageError`."""

    def __init__(self, key: str, message: str):
        super().__init__(message)
        self.reason = message.removeprefix(key).strip()
