"""Sources that read one mask file per image."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import torch
from torch import Tensor

from cliptune.masks.files import MaskReader
from cliptune.masks.pixel_encoding import PixelEncoding, decode_foreground
from cliptune.masks.source import MaskSource, MissingMaskError
from cliptune.types import DecodedImage, Example


class FileMasks(MaskSource):
    """Base class of sources of mask files. A subclass implements `find`.

    With `PixelEncoding("release")`, training views crop and resize the stored values as they do the image (bicubic).
    Only then is 255 background and any other value from 1 foreground. Interpolation creates values that the file does
    not contain: a rim of small values around an object becomes foreground, and inside an object of 254 some pixels
    become 255 and thereby background. With any other encoding, views resize masks by nearest neighbour.
    """

    def __init__(self, encoding: PixelEncoding | None = None):
        self.reader = MaskReader(encoding or PixelEncoding())
        self._stored_reader = MaskReader(PixelEncoding("stored"))

    @abstractmethod
    def find(self, example: Example) -> Path | None:
        """The mask file of an example, or None."""

    @abstractmethod
    def missing_message(self, example: Example) -> str:
        """The error message for an example without a mask file."""

    @property
    def thresholds_views(self) -> bool:  # type: ignore[override]
        return self.reader.encoding.kind == "release"

    def mask(self, example: Example, image: DecodedImage) -> Tensor:
        return self.reader.read(self._file(example), example, image)

    def stored(self, example: Example, image: DecodedImage) -> Tensor:
        reader = self._stored_reader if self.thresholds_views else self.reader
        return reader.read(self._file(example), example, image)

    def foreground(self, values: Tensor) -> Tensor:
        if not self.thresholds_views:
            return values
        mask, _ = decode_foreground(values[0].numpy(), self.reader.encoding)
        return torch.from_numpy(mask)[None]

    def _file(self, example: Example) -> Path:
        path = self.find(example)
        if path is None:
            raise MissingMaskError(self.missing_message(example))
        return path
