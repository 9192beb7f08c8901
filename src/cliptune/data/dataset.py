"""The interface of all datasets."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from functools import cached_property

from cliptune.data import dassl_few_shot, splits
from cliptune.data.config import DataConfig
from cliptune.data.image_files import ImageFiles
from cliptune.data.image_io import read_image
from cliptune.errors import UserError
from cliptune.html_repr import html_repr
from cliptune.types import DecodedImage, Example


class Dataset(ABC):
    """Labeled examples and a way to read them. Each source of data is a subclass.

    Attributes:
        name: Name in records and messages.
        classnames: Class names in label order, as they are put into prompts.
        templates: Prompts with one `{}` each, the dataset's own first.
        draws: A folder or file of few-shot draws to use instead of drawing (see `data.dassl_few_shot`), or "".
        content_id: Identifies the content of generated examples for caching; empty if unknown.
        uses_holdout: Whether the examples `aside` validate instead of training (see `with_holdout`).
        image_kind: What the images are, "photographs" or "drawings".
        is_public: Whether it is a published benchmark, which must be complete.
        reading: Options for locating and reading the images.
    """

    name: str
    classnames: tuple[str, ...]
    templates: tuple[str, ...] = ("a photo of a {}.",)
    draws: str = ""
    content_id: str = ""
    uses_holdout: bool = False
    image_kind: str = "photographs"
    is_public: bool = False
    reading: DataConfig = DataConfig()

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.examples(part)):,} {part}" for part in ("train", "val", "test"))
        return f"<{type(self).__name__} {self.name}: {len(self.classnames):,} classes, {counts} images>"

    def _repr_html_(self) -> str:
        return html_repr(self, "dataset:dataset_html")

    @cached_property
    def open_targets(self) -> dict[tuple[str, DataConfig], Dataset]:
        """Transfer targets opened for this dataset, so that all runs on it share them and their features."""
        return {}

    @classmethod
    @abstractmethod
    def from_spec(cls, argument: str, config: DataConfig) -> Dataset:
        """The dataset of a spec `NAME:argument`. Raises `UserError` for an invalid argument."""

    @abstractmethod
    def examples(self, split: str) -> list[Example]:
        """The examples of `split`, one of "train", "val", "test", in a fixed order."""

    def aside(self) -> list[Example]:
        """Training examples that validate if a run needs validation images; empty if the data has its own."""
        return []

    def cut_validation(self) -> list[Example]:
        """The validation examples if they are a share that was cut from data without a validation split; else empty."""
        return []

    def with_holdout(self) -> Dataset:
        """The dataset with the examples `aside` for validation instead of training; itself if there are none."""
        if not self.aside():
            return self
        assert self.image_files  # shared with the copy
        changed = copy.copy(self)
        changed.uses_holdout = True
        return changed

    def evaluation_examples(self) -> list[Example]:
        """The examples on which a model trained elsewhere is evaluated."""
        return self.examples("test")

    def read(self, example: Example) -> DecodedImage:
        """Decode or render one example. Raises `UserError` naming the file if it cannot be read.

        A source of image files does not override this, so that the decoded images can be cached on disk.
        """
        assert example.path is not None
        return read_image(example.path)

    @property
    def reads_files(self) -> bool:
        """Whether examples are image files, so that their content determines the pixels."""
        return type(self).read is Dataset.read

    @cached_property
    def image_files(self) -> ImageFiles:
        """Facts about the image files, shared by all runs that use this dataset object."""
        return ImageFiles(cached=self.reads_files and self.reading.cache)

    def draw(self, shots: int, seed: int) -> tuple[list[Example], list[Example]]:
        """Training and validation examples for `shots` per class and a seed (see `splits.draw_few_shot`)."""
        train, val = self.training_examples(), self.aside() if self.uses_holdout else self.examples("val")
        return (
            dassl_few_shot.draw_from_file(self.draws, train, val, shots, seed)
            if self.draws
            else splits.draw_few_shot(train, val, shots, seed)
        )

    def sizes(self) -> dict[int, int]:
        """Number of training images per class, in order of first appearance."""
        return splits.count_classes(self.training_examples())

    def training_examples(self) -> list[Example]:
        """The training examples, from which shots are drawn."""
        train = self.examples("train")
        return splits.exclude(train, self.aside()) if self.uses_holdout else train

    def domains(self) -> tuple[str, ...]:
        """Names of the domains in which the test set exists, such as backgrounds or styles; most have none."""
        return ()

    def domain(self, name: str) -> list[Example]:
        """The test set in one of the `domains`, read by this dataset."""
        raise UserError(f"{self.name} has no domains of its own, so there is no {name!r}")

    def shifted(self) -> tuple[str, ...]:
        """Test data with the same classes under a distribution shift: domains of this dataset, or specs of others."""
        return ()

    def variants(self) -> dict[str, list[Example]]:
        """Further test sets by name, such as other backgrounds or styles."""
        return {}
