"""`cliptune predict RUN IMAGES...`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from cliptune.commands.parse import parse, split
from cliptune.data.pictures import SUFFIXES
from cliptune.errors import UserError


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


def predict(arguments: list[str]) -> None:
    """Load a run and name pictures."""
    path, rest = split(arguments, "a run's folder", "predict runs/train cat.jpg")
    options = parse(Predict, "predict RUN", rest)
    pictures = [picture for given in options.images for picture in _pictures(given)]
    if not pictures:
        raise UserError("no pictures given: cliptune predict RUN PICTURE...")
    if options.top_k < 1:
        raise UserError(f"top_k must be at least 1, got {options.top_k}")
    from cliptune.tuned import load

    run = load(path)
    if options.classes:
        run = run.with_classes(options.classes)
    for start in range(0, len(pictures), 64):
        chunk = pictures[start : start + 64]
        for picture, best in zip(chunk, run.predict(chunk, top_k=max(2, options.top_k)), strict=True):
            best = best[: options.top_k]
            if options.json:
                line = json.dumps(
                    {"picture": str(picture), "classes": [{"name": n, "probability": p} for n, p in best]}
                )
            else:
                line = f"{picture}  " + "  ".join(f"{name} {100 * p:.1f} %" for name, p in best)
            sys.stdout.write(line + "\n")


def _pictures(given: Path) -> list[Path]:
    if given.is_dir():
        found = sorted(p for p in given.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not found:
            raise UserError(f"no pictures in {given}")
        return found
    if not given.is_file():
        raise UserError(f"no picture at {given}; check the path")
    return [given]
