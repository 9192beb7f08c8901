"""`cliptune predict RUN IMAGES...`."""

from __future__ import annotations

import json
import os
import sys
import warnings
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

if TYPE_CHECKING:
    from cliptune.tuned import Tuned

#: Images read and answered at a time.
BATCH_SIZE = 64


@dataclass(frozen=True)
class Predict:
    """The most probable classes of pictures."""

    images: Positional[tuple[Path, ...]]
    """Picture files, or folders of them."""
    top_k: int = 3
    """Classes shown for each picture."""
    classes: tuple[str, ...] = ()
    """Other class names to choose among (at least two); by default those of training."""
    json: bool = False
    """One JSON object a line."""
    skip_bad: bool = False
    """Leave out images that cannot be read, however many, instead of stopping before the first answer. Without it, a
    folder may have one in a hundred, and images that are named none."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names; only for files you trust."""

    def __post_init__(self):
        checks.at_least(self, 1, "top_k")


def predict(arguments: list[str]) -> None:
    """Load a run and name pictures."""
    path, rest = split_first(arguments, "a run's folder", "predict runs/train cat.jpg")
    options = parse(Predict, "predict RUN", rest)
    images = [image for given in options.images for image in _find_images(given)]
    if not images:
        raise UserError("no pictures given: cliptune predict RUN PICTURE...")
    from cliptune.data.validate import MAX_UNREADABLE_SHARE, find_unreadable, list_unreadable, raise_if_unreadable
    from cliptune.tuned import load

    run = load(path, allow_code=options.allow_code)
    if options.classes or "classes" in given_fields(Predict, rest):
        run = run.with_classes(options.classes)
    looked = {str(image): Example(str(image), 0, image) for image in images}
    bad = find_unreadable(looked.values())
    spared = MAX_UNREADABLE_SHARE * len(looked) if any(given.is_dir() for given in options.images) else 0
    if not options.skip_bad and len(bad) > spared:
        raise_if_unreadable(bad, looked)
    for image, best in _predictions(run, [image for image in images if str(image) not in bad], options, bad):
        best = best[: options.top_k]
        if options.json:
            line = json.dumps({"picture": str(image), "classes": [{"name": n, "probability": p} for n, p in best]})
        else:
            name = str(image).encode(errors="replace").decode()  # names of files need not be Unicode
            line = f"{name}  " + "  ".join(f"{name} {100 * p:.1f} %" for name, p in best)
        sys.stdout.write(line + "\n")
    if bad:
        said = f"{len(bad)} of {len(looked)} images cannot be read and are left out: {list_unreadable(bad, looked)}"
        if len(bad) == len(looked):
            raise UserError(said)
        warnings.warn(said, stacklevel=2)


def _predictions(
    run: Tuned, images: Sequence[Path], options: Predict, bad: dict[str, str]
) -> Iterator[tuple[Path, Any]]:
    """Images with their best classes. Damage that shows only in decoding stops it, or is noted in `bad`."""
    top_k = max(2, options.top_k)
    for start in range(0, len(images), BATCH_SIZE):
        chunk, rows = images[start : start + BATCH_SIZE], list[Any]()
        with collect_assumed_ranges():  # `faults` said what is assumed of all of them
            try:
                rows = run.predict(chunk, top_k=top_k)
            except UnreadableImageError:
                if not options.skip_bad:
                    raise
                for image in chunk:
                    try:
                        rows += run.predict([image], top_k=top_k)
                    except UnreadableImageError as error:
                        bad[str(image)] = error.reason
        yield from zip((image for image in chunk if str(image) not in bad), rows, strict=True)


def _find_images(given: Path) -> list[Path]:
    """The image files under a folder, or a file itself, whatever its suffix."""
    if not given.is_dir():
        if not os.path.lexists(given):
            raise UserError(f"no picture at {given}; check the path")
        return [given]
    unread: Counter[str] = Counter()
    found = find_images(given, unread)
    said = skipped_files_message(given, unread) if unread else ""
    if not found:
        raise UserError(f"no pictures in {given}{f'; {said}' if said else ''}")
    if said:
        warnings.warn(said, stacklevel=2)
    return found
