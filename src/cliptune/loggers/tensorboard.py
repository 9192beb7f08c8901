"""Event files for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cliptune.errors import UserError
from cliptune.loggers.common.logger import Logger, Picture, RunStart, final_metrics
from cliptune.types import Result


class TensorBoard(Logger):
    """Scalars, the configuration and pictures in the subfolder `tensorboard` of the run, for `tensorboard --logdir`."""

    def __init__(self) -> None:
        self._writer: Any = None
        self._epoch = 0

    def check(self, folder: Path | None) -> None:
        if folder is None:
            raise UserError("the logger tensorboard writes to the folder of the run; name one with out")

    def start(self, run: RunStart) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._epoch = run.first
        purge = run.first or None  # of a resumed run, epochs that were logged but not stored
        self._writer = SummaryWriter(str((run.folder or Path()) / "tensorboard"), purge_step=purge)
        config = yaml.safe_dump(dict(run.config), sort_keys=False)
        self._writer.add_text("configuration", "\n".join(f"    {line}" for line in config.splitlines()))

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        self._epoch = epoch
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def pictures(self, pictures: Sequence[Picture]) -> None:
        for picture in pictures:
            self._writer.add_image(picture.caption, picture.pixels, self._epoch, dataformats="HWC")

    def finish(self, result: Result | None, folder: Path | None) -> None:
        for name, value in final_metrics(result).items() if result else ():
            self._writer.add_scalar(name, value, self._epoch)
        self._writer.close()
