"""The interface of mask sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from cliptune.errors import UserError
from cliptune.types import DecodedImage, Example

if TYPE_CHECKING:
    from typing import Self

    from cliptune.model.tuned_model import TunedModel


class MissingMaskError(UserError):
    """A source has no mask for an image."""


MaskProblemKind = Literal["missing", "wrong shape", "unreadable", "shared", "bad box"]


@dataclass(frozen=True)
class MaskProblem:
    """A problem with the mask of an image: the key of its example, the kind of problem and a message."""

    key: str
    kind: MaskProblemKind
    text: str


class MaskSource(ABC):
    """Provides a foreground mask for each image. Geometric augmentations apply to the mask as to the image."""

    #: Whether masks change from epoch to epoch, so that they, and views cut with them, must not be cached.
    changes = False
    #: Whether masks that are foreground everywhere are intended, so that they cause no warning.
    whole = False
    #: Whether training views resize the values of `stored` like the image (bicubic) and threshold them afterwards.
    thresholds_views = False

    @classmethod
    def from_spec(cls, argument: str, seed: int) -> MaskSource:
        """The source for the `argument` of a spec, the text after the colon of "name:argument" ("" without one).

        seed: Seed of random masks.
        """
        return cls()

    @abstractmethod
    def mask(self, example: Example, image: DecodedImage) -> Tensor:
        """The foreground mask, uint8 `(1, H, W)` of the image's size, 255 = foreground.

        Raises `MissingMaskError` if there is none, and `UserError` if it cannot be used.
        """

    def stored(self, example: Example, image: DecodedImage) -> Tensor:
        """The values that training views crop and resize, uint8 `(1, H, W)`. By default the mask itself."""
        return self.mask(example, image)

    def foreground(self, values: Tensor) -> Tensor:
        """The mask, 255 = foreground, of a training view `(1, h, w)` of the values that `stored` returned."""
        return values

    def find_problems(self, examples: Sequence[Example]) -> list[MaskProblem]:
        """Problems that are visible without decoding images or masks, at most one per example."""
        return []

    def check(self, examples: Sequence[Example]) -> None:
        """Raise `UserError` if there are problems, with their counts and the first message."""
        problems = self.find_problems(examples)
        if problems:
            kinds = [problem.kind for problem in problems]
            counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
            raise UserError(
                f"masks of {len(problems)} of {len(examples)} images cannot be used ({counts}): {problems[0].text} "
                f"(--skip-bad skips these images)"
            )

    def for_epoch(self, epoch: int) -> MaskSource:
        """The source to use in an epoch: itself, unless masks depend on the epoch."""
        return self


class ModelMaskSource(MaskSource):
    """A source that computes masks with the model being tuned, before each epoch."""

    changes = True
    #: Images per batch that `refreshed` expects.
    batch_size: int = 64

    @abstractmethod
    def refreshed(self, model: TunedModel, batches: Iterable[tuple[list[str], Tensor, Tensor]]) -> Self:
        """A source with the masks of all examples, computed with the model as trained so far.

        Args:
            model: The model. It is put into evaluation mode meanwhile.
            batches: Keys, whole normalised images `(b, 3, H, W)` and labels `(b,)` (`ExampleSet.squashed_batches`).
        """
