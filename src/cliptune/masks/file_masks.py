"""Mask files that a source finds for its pictures, and the rule by which the released DAPT reads them."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import torch
from torch import Tensor

from cliptune.masks.files import MaskReader
from cliptune.masks.pixel_encoding import PixelEncoding, decode_foreground
from cliptune.masks.source import MaskSource, MissingMaskError
from cliptune.types import DecodedImage, Example

STORED_ENCODING = PixelEncoding("stored")


class FileMasks(MaskSource):
    """A source of mask files: a leaf says which file belongs to a picture.

    With `Values("release")`, training views crop and resize the stored numbers as they do the image (bicubic), and only
    then is 255 background and any other number from 1 foreground. Interpolation makes numbers that no file holds: a rim
    of small numbers around an object becomes foreground, and inside an object of 254 some become 255 and thereby
    background. Otherwise views resize masks by nearest neighbour.
    """

    def __init__(self, values: PixelEncoding | None = None):
        self.reader = MaskReader(values or PixelEncoding())
        self._numbers = MaskReader(STORED_ENCODING)

    @abstractmethod
    def find(self, example: Example) -> Path | None:
        """The mask file of an example, or None."""

    @abstractmethod
    def lacking(self, example: Example) -> str:
        """The sentence about an example without a mask file."""

    @property
    def thresholds_views(self) -> bool:  # type: ignore[override]
        return self.reader.values.kind == "release"

    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        return self.reader.read(self._file(example), example, picture)

    def stored(self, example: Example, picture: DecodedImage) -> Tensor:
        reader = self._numbers if self.thresholds_views else self.reader
        return reader.read(self._file(example), example, picture)

    def foreground(self, numbers: Tensor) -> Tensor:
        if not self.thresholds_views:
            return numbers
        mask, _ = decode_foreground(numbers[0].numpy(), self.reader.values)
        return torch.from_numpy(mask)[None]

    def _file(self, example: Example) -> Path:
        path = self.find(example)
        if path is None:
            raise MissingMaskError(self.lacking(example))
        return path
