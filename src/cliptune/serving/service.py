"""What a server does with a request: admit it, decode its images in threads, have them computed in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cliptune.data.read_errors import UnreadableImageError
from cliptune.errors import UserError
from cliptune.serving.batcher import Batcher
from cliptune.serving.classifier import Classifier, Query, decode_image
from cliptune.serving.forms import RequestError
from cliptune.serving.limits import RequestLimits


@dataclass(frozen=True)
class View:
    """The view of an image that the model gets, and what was assumed in reading its file, or ""."""

    pixels: Tensor
    note: str


class Admission:
    """Counts the images of requests that are in progress, up to a limit. For one event loop."""

    def __init__(self, most: int):
        self.most, self.count = most, 0

    @contextmanager
    def admit(self, images: int) -> Iterator[None]:
        """Count `images` within the block. Raises `RequestError` if they would exceed the limit."""
        if self.count + images > self.most:
            raise RequestError(503, f"the server is busy: {self.count} of {self.most} images are waiting; try again")
        self.count += images
        try:
            yield
        finally:
            self.count -= images


class Service:
    """A classifier with its threads.

    Args:
        classifier: Computes.
        limits: Limits on requests.
        max_batch: Largest number of images that are computed together.
        decoders: Number of threads that decode images.
    """

    def __init__(self, classifier: Classifier, limits: RequestLimits, max_batch: int, decoders: int):
        self.classifier, self.limits, self.admission = classifier, limits, Admission(limits.max_queue)
        self._batcher = Batcher(classifier.compute, max_batch)
        self._decoders = ThreadPoolExecutor(decoders, "cliptune-decode")

    async def decode(self, images: Sequence[tuple[str, bytes]]) -> list[View]:
        """Decode image files. Raises `RequestError` that lists all files that cannot be read."""
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(self._decoders, self._view, name, data) for name, data in images]
        views = await asyncio.gather(*calls, return_exceptions=True)
        bad = []
        for (name, _), view in zip(images, views, strict=True):
            if isinstance(view, UnreadableImageError):
                bad.append({"image": name, "reason": view.reason})
            elif isinstance(view, BaseException):
                raise view
        if bad:
            count = f"; {len(bad)} of {len(images)} images cannot be read" if len(bad) > 1 else ""
            sentence = f"image {bad[0]['image']} cannot be read: it {bad[0]['reason']}{count}"
            raise RequestError(422, sentence, images=bad)
        return list(views)  # type: ignore[arg-type]

    def _view(self, name: str, content: bytes) -> View:
        decoded = decode_image(content, name, self.limits)
        return View(self.classifier.view(decoded), decoded.note)

    async def compute(self, query: Query, items: Sequence[Any]) -> list[Any]:
        """The result of each item, see `Classifier.compute`. Raises `RequestError` where that raises `UserError`."""
        futures = [asyncio.wrap_future(self._batcher.submit(query, item)) for item in items]
        try:
            return list(await asyncio.gather(*futures))
        except UserError as error:
            asked = query.classes or query.kind == "text_features"  # otherwise, the model is at fault
            raise RequestError(422 if asked else 500, str(error)) from None

    def close(self) -> None:
        """End the threads."""
        self._decoders.shutdown(cancel_futures=True)
        self._batcher.close()
