"""`cliptune predict RUN IMAGES...`."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from cliptune import checks
from cliptune.commands.flags import given_fields
from cliptune.commands.parse import parse, split_first
from cliptune.data.custom.common.walk import find_images, skipped_files_message
from cliptune.data.image_io import UnreadableImageError
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.errors import UserError
from cliptune.types import Example
from cliptune.user_warnings import warn_user

if TYPE_CHECKING:
    from cliptune.tuned import Tuned

#: Number of images that are read and classified at a time.
BATCH_SIZE = 64


@dataclass(frozen=True)
class Predict:
    """Print the most probable classes of images."""

    images: Positional[tuple[Path, ...]]
    """Image files, or folders of image files."""
    top_k: int = 3
    """Number of classes per image."""
    classes: tuple[str, ...] = ()
    """Other class names (at least two). By default, those of training."""
    calibrated: bool = False
    """Divide logits by the run's temperature, which cliptune evaluate RUN --calibrate fits on validation images."""
    json: bool = False
    """Print one JSON object per line."""
    skip_bad: bool = False
    """Leave out images that cannot be read, however many, instead of stopping before the first prediction. By default,
    one in a hundred images of a folder may be unreadable, and none of the files that are named."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names. Only for files that you trust."""

    def __post_init__(self):
        checks.at_least(self, 1, "top_k")


def predict(arguments: list[str]) -> None:
    """Load a run and print its predictions."""
    path, rest = split_first(arguments, "a run's folder", "predict runs/train cat.jpg")
    options = parse(Predict, "predict RUN", rest)
    images = [image for given in options.images for image in _find_images(given)]
    if not images:
        raise UserError("no images given: cliptune predict RUN IMAGE...")
    from cliptune.data.validate import MAX_UNREADABLE_SHARE, find_unreadable, list_unreadable, raise_if_unreadable
    from cliptune.tuned import load

    run = load(path, allow_code=options.allow_code)
    if options.classes or "classes" in given_fields(Predict, rest):
        if options.calibrated:
            raise UserError("the temperature is for the classes of training; leave out --calibrated or --classes")
        run = run.with_classes(options.classes)
    if options.calibrated and run.temperature is None:
        raise UserError(f"{path} has no temperature; fit it on validation images: cliptune evaluate {path} --calibrate")
    examples = {str(image): Example(str(image), 0, image) for image in images}
    bad = find_unreadable(examples.values())
    tolerated = MAX_UNREADABLE_SHARE * len(examples) if any(given.is_dir() for given in options.images) else 0
    if not options.skip_bad and len(bad) > tolerated:
        raise_if_unreadable(bad, examples)
    for image, best in _predictions(run, [image for image in images if str(image) not in bad], options, bad):
        best = best[: options.top_k]
        if options.json:
            # "picture" is the key of the documented output, which programs read.
            line = json.dumps({"picture": str(image), "classes": [{"name": n, "probability": p} for n, p in best]})
        else:
            name = str(image).encode(errors="replace").decode()  # file names need not be valid Unicode
            line = f"{name}  " + "  ".join(f"{name} {100 * p:.1f} %" for name, p in best)
        sys.stdout.write(line + "\n")
    if bad:
        message = (
            f"{len(bad)} of {len(examples)} images cannot be read and are left out: {list_unreadable(bad, examples)}"
        )
        if len(bad) == len(examples):
            raise UserError(message)
        warn_user(message)


def _predictions(
    run: Tuned, images: Sequence[Path], options: Predict, bad: dict[str, str]
) -> Iterator[tuple[Path, Any]]:
    """Images with their best classes. Images that fail in decoding raise, or with --skip-bad are added to `bad`."""
    top_k = max(2, options.top_k)
    for start in range(0, len(images), BATCH_SIZE):
        chunk, rows = images[start : start + BATCH_SIZE], list[Any]()
        with collect_assumed_ranges():  # `find_unreadable` has warned about all images
            try:
                rows = run.predict(chunk, top_k=top_k, calibrated=options.calibrated)
            except UnreadableImageError:
                if not options.skip_bad:
                    raise
                for image in chunk:
                    try:
                        rows += run.predict([image], top_k=top_k, calibrated=options.calibrated)
                    except UnreadableImageError as error:
                        bad[str(image)] = error.reason
        yield from zip((image for image in chunk if str(image) not in bad), rows, strict=True)


def _find_images(given: Path) -> list[Path]:
    """The image files under a folder, or a file itself, whatever its suffix."""
    if not given.is_dir():
        if not os.path.lexists(given):
            raise UserError(f"no image at {given}; check the path")
        return [given]
    unread: Counter[str] = Counter()
    found = find_images(given, unread)
    skipped = skipped_files_message(given, unread) if unread else ""
    if not found:
        raise UserError(f"no images in {given}{f'; {skipped}' if skipped else ''}")
    if skipped:
        warn_user(skipped)
    return found
