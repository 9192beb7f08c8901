"""Datasets passed as Python objects: torch datasets, or any sequences, of (image, label)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptune.data.config import DataConfig
from cliptune.data.conversion import to_image, to_mask
from cliptune.data.custom.common.build import build_splits
from cliptune.data.custom.common.labels import base_dataset, read_labels, stored_classnames
from cliptune.data.custom.common.multi_label import warn_of_combined_names
from cliptune.data.dataset import Dataset
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.splits import exclude
from cliptune.errors import UserError
from cliptune.types import DecodedImage, Example

#: Prefix of such datasets in records: `python:NAME@FINGERPRINT`.
PREFIX = "python"
#: Number of images, evenly spaced, that a fingerprint covers.
HASHED_IMAGES = 16


class TorchDataset(Dataset):
    """Torch datasets by split; keys are split name and index. Images and labels are read again each time, so they must
    not be random."""

    def __init__(
        self,
        parts: Mapping[str, Any],
        classnames: Sequence[str] | None = None,
        *,
        masks: Sequence[Any] | None = None,
        name: str = "",
    ):
        first = next(iter(parts.values()))
        self.name = name or type(base_dataset(first)).__name__
        names = classnames if classnames is not None else stored_classnames(first)
        if names is None:
            raise UserError(f"{self.name} has no class names; pass classnames=[...], in the order of labels")
        if isinstance(names, str):
            raise UserError(f"classnames is a list of names, got {names!r}")
        if masks is not None and len(masks) != len(parts["train"]):
            raise UserError(
                f"there are {len(masks)} masks for {len(parts['train'])} training images; give one for each"
            )
        self._parts, self._masks = dict(parts), masks
        found = {part: self._found(part, len(names)) for part in parts}
        if "train" not in found:  # only for testing
            self.classnames = tuple(map(str, names))
            self._splits = {"train": [], "val": [], "test": [e for _, e in found["test"]], "aside": [], "cut": []}
            return
        warn_of_combined_names([str(title) for title in names], self.name)
        titles = {str(i): str(title) for i, title in enumerate(names)}
        self.classnames, self._splits = build_splits(
            found, self.name, classes=list(titles), titles=titles, raw_names=classnames is not None
        )

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig) -> TorchDataset:
        raise UserError(
            f"the run's data, {argument.partition('@')[0]}, was an object in Python; pass it (evaluate(data=...)), or "
            f"name other data"
        )

    def examples(self, split: str) -> list[Example]:
        return self._splits[split]

    def aside(self) -> list[Example]:
        return self._splits["aside"]

    def cut_validation(self) -> list[Example]:
        return self._splits["cut"]

    def read(self, example: Example) -> DecodedImage:
        part, _, place = example.key.partition("/")
        what = f"image {place} of {self.name}'s {part} part"
        try:
            decoded = to_image(self._parts[part][int(place)][0], what)
        except UserError:
            raise
        except Exception as error:  # the object's own code may raise anything
            raise UserError(f"{what} cannot be read: {type(error).__name__}: {error}") from error
        if self._masks is None or part != "train":
            return decoded
        mask = to_mask(self._masks[int(place)], f"mask {place} of {self.name}")
        if mask.shape[-2:] != decoded.image.shape[-2:]:
            sizes = [f"{shape[-1]}x{shape[-2]}" for shape in (mask.shape, decoded.image.shape)]
            raise UserError(f"mask {place} of {self.name} is {sizes[0]} but its image is {sizes[1]} pixels")
        return DecodedImage(decoded.image, mask)

    def _found(self, part: str, classes: int) -> list[tuple[str, Example]]:
        labels = read_labels(self._parts[part], f"{self.name}'s {part} part")
        wrong = next((i for i, label in enumerate(labels) if not 0 <= label < classes), None)
        if wrong is not None:
            raise UserError(
                f"image {wrong} of {self.name}'s {part} part has label {labels[wrong]}, but there are {classes} class "
                f"names, for labels 0 to {classes - 1}"
            )
        return [(str(label), Example(f"{part}/{i}", label)) for i, label in enumerate(labels)]


def from_torch(
    train: Any = None,
    classnames: Sequence[str] | None = None,
    *,
    val: Any = None,
    test: Any = None,
    masks: Sequence[Any] | None = None,
    name: str = "",
) -> Dataset:
    """Create a dataset from torch datasets, or any sequences, of `(image, label)`, for `train` and `evaluate`.

    Images are PIL images, tensors `(C, H, W)` or arrays `(H, W, C)`, uint8 or float in [0, 1], neither normalized nor
    augmented. Labels are integers from 0.

    Args:
        train: Training images; omit them for data that is only for testing.
        classnames: Class names in label order; by default the dataset's own `classes`, made readable.
        val: Validation images; by default a share of `train`, as with folders.
        test: Test images; by default a share of `train`.
        masks: Foreground mask of each training image, `(H, W)`, with values in [0, 1] or [0, 255].
        name: Name in records; by default the name of its class.

    Raises:
        UserError: If labels, class names or masks are invalid.
    """
    parts = {part: dataset for part, dataset in (("train", train), ("val", val), ("test", test)) if dataset is not None}
    if "train" not in parts and "test" not in parts:
        raise UserError("no images given; pass train=, or test= for data that is only tested")
    return TorchDataset(parts, classnames, masks=masks, name=name)


def as_dataset(data: Any) -> Dataset:
    """The dataset for an object passed as `train(data=...)`. Raises `UserError`."""
    if isinstance(data, Path):
        raise UserError(f"data={str(data)!r} is a path; name its type: data='folder:{data}'")
    return data if isinstance(data, Dataset) else from_torch(data)


def as_test_dataset(data: Any, classnames: Sequence[str]) -> Dataset:
    """The dataset for an object passed as `evaluate(data=...)`. All images of a torch dataset are test images, with
    its own classes or `classnames`."""
    if isinstance(data, (Dataset, Path)):
        return as_dataset(data)
    return from_torch(test=data, classnames=None if stored_classnames(data) else classnames)


def python_spec(dataset: Dataset) -> str:
    """The name in records of a dataset passed as an object: `python:NAME@FINGERPRINT`, a hash of class names, keys,
    labels and a few images."""
    parts = {part: dataset.examples(part) for part in ("train", "val", "test")}
    if aside := dataset.aside():  # names stay those of earlier versions, which always set these aside
        parts |= {"train": exclude(parts["train"], aside), "val": aside}
    everything = [e for examples in parts.values() for e in examples]
    content = [list(dataset.classnames), [[(e.key, e.label) for e in examples] for examples in parts.values()]]
    digest = hashlib.sha256(repr(content).encode())
    with collect_assumed_ranges():  # reading them for training warns about assumed ranges
        for example in everything[:: max(1, len(everything) // HASHED_IMAGES)]:
            digest.update(dataset.read(example).image.contiguous().numpy().tobytes())
    return f"{PREFIX}:{dataset.name}@{digest.hexdigest()[:12]}"
