"""Where the foreground of a training picture comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from cliptune.errors import UserError
from cliptune.types import DecodedImage, Example

if TYPE_CHECKING:
    from cliptune.model.tuned_model import TunedModel


class MissingMaskError(UserError):
    """A picture has no mask where a source looks for it."""


MaskProblemKind = Literal["missing", "wrong shape", "unreadable", "shared", "bad box"]


@dataclass(frozen=True)
class MaskProblem:
    """Why a picture has no usable mask: its example's key, of what kind, and the sentence about it."""

    key: str
    kind: MaskProblemKind
    text: str


class MaskSource(ABC):
    """Gives each picture a map of its foreground, which every geometric transform then moves with the picture."""

    #: Whether masks change from epoch to epoch, so that nothing made from them may be kept.
    changes = False
    #: Whether masks that are foreground all over are what is wanted.
    whole = False
    #: Whether views are cut from `stored` numbers, resized as images are (bicubic), and become masks only then.
    thresholds_views = False

    @abstractmethod
    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        """uint8 `(1, H, W)`, 255 = foreground, of the picture's size. Raises `NoMask` or another `UserError`."""

    def stored(self, example: Example, picture: DecodedImage) -> Tensor:
        """What training views are cut from: uint8 `(1, H, W)` of the picture's size. By default the mask itself."""
        return self.mask(example, picture)

    def foreground(self, numbers: Tensor) -> Tensor:
        """The mask, 255 = foreground, of a view `(1, h, w)` of what `stored` returned."""
        return numbers

    def faults(self, examples: Sequence[Example]) -> list[MaskProblem]:
        """What can be seen to be wrong without reading pictures or masks, an example's at a time."""
        return []

    def check(self, examples: Sequence[Example]) -> None:
        """Before training: raise `UserError` that counts faults and shows the first."""
        found = self.faults(examples)
        if found:
            counts = {kind: sum(f.kind == kind for f in found) for kind in dict.fromkeys(f.kind for f in found)}
            said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
            raise UserError(
                f"masks of {len(found)} of {len(examples)} pictures cannot be used ({said}): {found[0].text} "
                f"(--skip-bad leaves them out)"
            )

    def for_epoch(self, epoch: int) -> MaskSource:
        """The source whose masks an epoch uses: itself, unless masks depend on the epoch."""
        return self


class ModelMaskSource(MaskSource):
    """A source that computes masks with the model being tuned. `refresh` is called before each epoch."""

    changes = True
    #: Images per batch that `refresh` gets.
    batch_size: int

    @abstractmethod
    def refresh(self, model: TunedModel, batches: Iterable[tuple[list[str], Tensor, Tensor]]) -> None:
        """Compute the masks of all examples.

        Args:
            model: The model as trained so far.
            batches: Keys, whole normalised images `(b, 3, H, W)` and labels `(b,)` (`ExampleSet.squashed_batches`).
        """
