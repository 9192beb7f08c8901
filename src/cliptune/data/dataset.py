"""The interface of every source of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod

from cliptune.data import splits
from cliptune.data.config import DataConfig
from cliptune.data.image_io import read_image
from cliptune.data.public.common import dassl_few_shot
from cliptune.errors import UserError
from cliptune.types import DecodedImage, Example


class Dataset(ABC):
    """Named examples and a way to read them; a source is one leaf of this class in `data/sources/`.

    `classnames` are in label order, as they go into sentences. `templates` hold one `{}` each, the dataset's own first.
    `draws` is a folder or file of shots to take instead of drawing them, or "" (see `data.draws`).
    `sets_aside` says whether the examples `aside` validate instead of training (see `tasks.task_of`).
    `made_of` says what decides the pixels of examples that are no files, besides their keys; "" where nobody knows.
    """

    name: str
    classnames: tuple[str, ...]
    templates: tuple[str, ...] = ("a photo of a {}.",)
    draws: str = ""
    content_id: str = ""
    uses_holdout: bool = False
    reading: DataConfig = DataConfig()

    @classmethod
    @abstractmethod
    def from_spec(cls, argument: str, reading: DataConfig) -> Dataset:
        """The dataset of a spec `NAME:argument`. Raises `UserError` for an argument it does not understand."""

    @abstractmethod
    def examples(self, split: str) -> list[Example]:
        """The examples of `split`, one of "train", "val", "test", in a fixed order."""

    def aside(self) -> list[Example]:
        """Training examples that validate where something asks for validation; none where the data marks some."""
        return []

    def evaluation_examples(self) -> list[Example]:
        """What a model that was made elsewhere is measured on."""
        return self.examples("test")

    def read(self, example: Example) -> DecodedImage:
        """Decode (or draw) one example. Raises `UserError` naming the file when it cannot be read.

        A source whose examples are picture files leaves this alone, and so may have them decoded only once (`cache`).
        """
        assert example.path is not None
        return read_image(example.path)

    def draw(self, shots: int, seed: int) -> tuple[list[Example], list[Example]]:
        """Training and validation shots of a seed (see `splits.draw`)."""
        train, val = self._trained(), self.aside() if self.uses_holdout else self.examples("val")
        return (
            dassl_few_shot.draw_from_file(self.draws, train, val, shots, seed)
            if self.draws
            else splits.draw_few_shot(train, val, shots, seed)
        )

    def sizes(self) -> dict[int, int]:
        """How many training pictures show each class, in order of first appearance."""
        return splits.count_classes(self._trained())

    def _trained(self) -> list[Example]:
        """What shots are drawn from."""
        train = self.examples("train")
        return splits.exclude(train, self.aside()) if self.uses_holdout else train

    def domains(self) -> tuple[str, ...]:
        """Names of the guises in which `domain` has the test set; none for most."""
        return ()

    def domain(self, name: str) -> list[Example]:
        """The test set in one of the `domains`, read by this dataset."""
        raise UserError(f"{self.name} has no domains of its own, so there is no {name!r}")

    def shifted(self) -> tuple[str, ...]:
        """Where the same classes are commonly tested under a shift: domains of its own, or specs of other datasets."""
        return ()

    def variants(self) -> dict[str, list[Example]]:
        """Further test sets by name (other backgrounds, other styles), each in the order of its own."""
        return {}
