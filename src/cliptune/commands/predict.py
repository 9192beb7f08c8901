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
from cliptune.commands.parse import given, parse, split
from cliptune.data.assumed import assuming
from cliptune.data.pictures import Unreadable
from cliptune.data.walk import images_under, unread_in
from cliptune.errors import UserError
from cliptune.types import Example

if TYPE_CHECKING:
    from cliptune.tuned import Tuned

#: Images read and answered at a time.
CHUNK = 64


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
    path, rest = split(arguments, "a run's folder", "predict runs/train cat.jpg")
    options = parse(Predict, "predict RUN", rest)
    images = [image for given in options.images for image in _images(given)]
    if not images:
        raise UserError("no pictures given: cliptune predict RUN PICTURE...")
    from cliptune.data.sound import SPARED, faults, insist, listed
    from cliptune.tuned import load

    run = load(path, allow_code=options.allow_code)
    if options.classes or "classes" in given(rest):
        run = run.with_classes(options.classes)
    looked = {str(image): Example(str(image), 0, image) for image in images}
    bad = faults(looked.values())
    spared = SPARED * len(looked) if any(given.is_dir() for given in options.images) else 0
    if not options.skip_bad and len(bad) > spared:
        insist(bad, looked)
    for image, best in _answers(run, [image for image in images if str(image) not in bad], options, bad):
        best = best[: options.top_k]
        if options.json:
            line = json.dumps({"picture": str(image), "classes": [{"name": n, "probability": p} for n, p in best]})
        else:
            name = str(image).encode(errors="replace").decode()  # names of files need not be Unicode
            line = f"{name}  " + "  ".join(f"{name} {100 * p:.1f} %" for name, p in best)
        sys.stdout.write(line + "\n")
    if bad:
        said = f"{len(bad)} of {len(looked)} images cannot be read and are left out: {listed(bad, looked)}"
        if len(bad) == len(looked):
            raise UserError(said)
        warnings.warn(said, stacklevel=2)


def _answers(run: Tuned, images: Sequence[Path], options: Predict, bad: dict[str, str]) -> Iterator[tuple[Path, Any]]:
    """Images with their best classes. Damage that shows only in decoding stops it, or is noted in `bad`."""
    top_k = max(2, options.top_k)
    for start in range(0, len(images), CHUNK):
        chunk, rows = images[start : start + CHUNK], list[Any]()
        with assuming():  # `faults` said what is assumed of all of them
            try:
                rows = run.predict(chunk, top_k=top_k)
            except Unreadable:
                if not options.skip_bad:
                    raise
                for image in chunk:
                    try:
                        rows += run.predict([image], top_k=top_k)
                    except Unreadable as error:
                        bad[str(image)] = error.why
        yield from zip((image for image in chunk if str(image) not in bad), rows, strict=True)


def _images(given: Path) -> list[Path]:
    """The image files under a folder, or a file itself, whatever its suffix."""
    if not given.is_dir():
        if not os.path.lexists(given):
            raise UserError(f"no picture at {given}; check the path")
        return [given]
    unread: Counter[str] = Counter()
    found = images_under(given, unread)
    said = unread_in(given, unread) if unread else ""
    if not found:
        raise UserError(f"no pictures in {given}{f'; {said}' if said else ''}")
    if said:
        warnings.warn(said, stacklevel=2)
    return found
