"""`cliptune app RUN [RUN ...]`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional

from cliptune.commands.flags import FLAT
from cliptune.commands.parse import parse
from cliptune.errors import UserError
from cliptune.serving.limits import Limits
from cliptune.serving.server import Address, require_packages

#: Packages of the extra.
PACKAGES = ("gradio", "fastapi", "uvicorn")


@dataclass(frozen=True)
class App:
    """Try tuned models in the browser: classes of images that are dropped on the page, saliency and masks, other class
    names, two runs side by side, and corrections as a table for training.

    Ctrl-C stops it."""

    runs: Positional[tuple[str, ...]] = ()
    """Folders of runs, or hf:USER/MODEL. Several are shown side by side."""
    corrections: Path = Path("corrections")
    """Folder for corrected classes: corrections.csv, which --data csv:FILE reads, and copies of the images. It is
    created with the first correction."""
    address: Annotated[Address, FLAT] = field(default_factory=lambda: Address(port=7860))
    limits: Annotated[Limits, FLAT] = field(default_factory=Limits)
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that a run names. Only for files that you trust."""


def app(arguments: list[str]) -> None:
    """Load runs, print the URL of the page, and serve it until the command is interrupted."""
    options = parse(App, "app", arguments)
    if not options.runs:
        raise UserError("no run was named: cliptune app runs/train, or several to compare them")
    require_packages("app", *PACKAGES)
    with options.address.bind() as bound:
        from cliptune.app.comparison import Comparison
        from cliptune.app.corrections import Corrections
        from cliptune.app.page import Page
        from cliptune.app.server import serve_page
        from cliptune.serving.classifier import Classifier
        from cliptune.tuned import load

        corrections = Corrections(options.corrections)
        runs = [load(path, allow_code=options.allow_code) for path in options.runs]
        names = unique_names(options.runs)
        classifiers = [Classifier(run) for run in runs]
        page = Page(Comparison(list(zip(names, classifiers, strict=True)), options.limits), corrections)
        console = Console(stderr=True, highlight=False, soft_wrap=True)

        def announce() -> None:
            sys.stdout.write(f"{options.address.url(bound)}\n")
            sys.stdout.flush()
            if not options.address.is_local:
                console.print("note: anyone who reaches this address can use the page; there is no password")
            console.print("open this address in a browser; Ctrl-C stops", markup=False)

        serve_page(page, " and ".join(names), bound, announce)
        console.print("stopped")


def unique_names(paths: tuple[str, ...]) -> list[str]:
    """The names of the folders, with as many parent folders as are needed to tell them apart."""
    parts = [Path(path).absolute().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    raise UserError(f"a run was named twice: {', '.join(paths)}; leave one out")
