"""`cliptune serve RUN`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from rich.console import Console

from cliptune import checks
from cliptune.commands.flags import FLAT
from cliptune.commands.parse import parse, split_first
from cliptune.serving.limits import RequestLimits
from cliptune.serving.server import Address, Settings, require_packages

#: Packages of the extra.
PACKAGES = ("fastapi", "uvicorn", "python_multipart")


@dataclass(frozen=True)
class Serve:
    """Serve a tuned model over HTTP: classes, probabilities and features of uploaded images.

    The page of the server shows its routes and has a form to try them. Ctrl-C stops the server."""

    address: Annotated[Address, FLAT] = field(default_factory=Address)
    limits: Annotated[RequestLimits, FLAT] = field(default_factory=RequestLimits)
    max_batch: int = 64
    """Largest number of images that are computed together. Images of concurrent requests share a batch."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names. Only for files that you trust."""

    def __post_init__(self):
        checks.at_least(self, 1, "max_batch")


def serve(arguments: list[str]) -> None:
    """Load a run, print the URL, and serve until the command is interrupted."""
    path, rest = split_first(arguments, "a run's folder", "serve runs/train")
    options = parse(Serve, "serve RUN", rest)
    require_packages("serve", *PACKAGES)
    bound = options.address.bind()
    with bound:
        from cliptune.serving.server import serve as serve_run
        from cliptune.tuned import load

        run, console = load(path, allow_code=options.allow_code), Console(stderr=True, highlight=False, soft_wrap=True)
        name = Path(path).absolute().name

        def announce() -> None:
            sys.stdout.write(f"{options.address.url(bound)}\n")
            sys.stdout.flush()
            if not options.address.is_local:
                console.print("note: anyone who reaches this address can use the model; there is no password")
            console.print(f"serving {name}, {len(run.classnames)} classes; Ctrl-C stops", markup=False)

        serve_run(run, name, bound, Settings(options.limits, options.max_batch), announce)
        console.print("stopped")
