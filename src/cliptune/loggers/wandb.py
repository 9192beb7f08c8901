"""Weights & Biases."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptune.loggers.common.logger import (
    Logger,
    Picture,
    RunStart,
    artifacts,
    final_metrics,
    import_library,
    read_identity,
    write_identity,
)
from cliptune.types import Result


class Wandb(Logger):
    """A run of Weights & Biases, in the project of `WANDB_PROJECT` or "cliptune". `WANDB_MODE=offline` writes it to the
    run directory, from where `wandb sync` uploads it."""

    def __init__(self) -> None:
        self._wandb = import_library("wandb")
        self._run: Any = None

    def start(self, run: RunStart) -> None:
        identity = read_identity(run, "wandb")
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "cliptune",
            name=run.name,
            config=dict(run.config),
            dir=None if run.folder is None else str(run.folder),
            id=identity,
            resume="allow" if identity else None,
            settings=self._wandb.Settings(console="off", quiet=True),  # the terminal belongs to the progress bar
        )
        write_identity(run.folder, "wandb", self._run.id)

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(values), step=epoch)

    def pictures(self, pictures: Sequence[Picture]) -> None:
        images = [self._wandb.Image(picture.pixels, caption=picture.caption) for picture in pictures]
        self._run.log({"training images": images})

    def finish(self, result: Result | None, folder: Path | None) -> None:
        if result is not None:
            self._run.summary.update(final_metrics(result))
            if files := artifacts(folder):
                artifact = self._wandb.Artifact(f"run-{re.sub(r'[^A-Za-z0-9_.-]', '-', self._run.id)}", type="model")
                for file in files:
                    artifact.add_file(str(file))
                self._run.log_artifact(artifact)
        self._run.finish(exit_code=0 if result is not None else 1)
