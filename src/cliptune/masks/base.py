"""Where the foreground of a training picture comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from cliptune.types import Example, Picture

if TYPE_CHECKING:
    from cliptune.data.loader import ExampleSet
    from cliptune.model import TunedModel


class MaskSource(ABC):
    """Gives each picture a map of its foreground, which every geometric transform then moves with the picture."""

    #: Whether masks change from epoch to epoch, so that nothing made from them may be kept.
    changes = False

    @abstractmethod
    def mask(self, example: Example, picture: Picture) -> Tensor:
        """uint8 `(1, H, W)`, 255 = foreground, of the picture's size. Raises `UserError` if there is none."""

    def check(self, examples: Sequence[Example]) -> None:
        """Before training: raise `UserError` naming what is missing."""

    def refresh(self, model: TunedModel, examples: ExampleSet, epoch: int) -> None:
        """Before each epoch."""
