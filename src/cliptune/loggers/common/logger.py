"""The interface of loggers."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cliptune.errors import UserError
from cliptune.files import read_text, write_json
from cliptune.run_dir import IDENTITIES

if TYPE_CHECKING:
    import numpy as np

    from cliptune.types import Result

#: Files of a finished run that services keep.
ARTIFACTS = ("checkpoint.safetensors", "result.json", "config.yaml")


@dataclass(frozen=True)
class RunStart:
    """What a logger gets to know when a training begins.

    Args:
        name: The method, or the label of the run in tables, and the seed.
        config: The configuration as plain values.
        folder: The run directory, or None.
        first: The number of epochs that were trained before, in a run that is resumed.
    """

    name: str
    config: Mapping[str, Any]
    folder: Path | None
    first: int = 0


@dataclass(frozen=True)
class Picture:
    """A training image. pixels: uint8 `(H, W, 3)`: the image, its mask if the method uses masks, and its Grad-CAM.
    caption: The class and the key of the image."""

    pixels: np.ndarray
    caption: str


class Logger:
    """Receives the course of a run. The methods do nothing by default.

    An error that a method raises ends the logging, with a warning, but not the training. After it, no method is called.
    """

    def check(self, folder: Path | None) -> None:
        """Raise `UserError` before anything is read or trained if the logger cannot be used. folder: The run directory,
        or None."""

    def start(self, run: RunStart) -> None:
        """Before the first epoch, or before the test of a method that does not train."""

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """After each epoch, counted from 0 over all stages: the learning rate "lr", the mean "loss" and each named
        loss, and metrics that are measured during training, such as "val"."""

    def pictures(self, pictures: Sequence[Picture]) -> None:
        """After training: a few training images."""

    def finish(self, result: Result | None, folder: Path | None) -> None:
        """After the run was tested and its files were written to `folder`; result is None if it failed or was
        interrupted."""


def wants_pictures(logger: Logger) -> bool:
    """Whether the class of a logger does anything with pictures."""
    return type(logger).pictures is not Logger.pictures


def import_library(name: str) -> Any:
    """The library of a logger, whose extra has the same name. Raises `UserError` if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f'--log {name} needs {name}, which is not installed: pip install "cliptune[{name}]"') from None


def final_metrics(result: Result) -> dict[str, float]:
    """Accuracy on the test sets as "accuracy/NAME". Those of earlier epochs, with an @ in their name, are left out."""
    return {f"accuracy/{name}": value for name, value in result.metrics.items() if "@" not in name}


def flatten(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested plain values with dotted names: ("training.lr", 0.002)."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def artifacts(folder: Path | None) -> list[Path]:
    """The files of a run that a service keeps."""
    return [] if folder is None else [folder / name for name in ARTIFACTS if (folder / name).is_file()]


def read_identity(run: RunStart, service: str) -> str | None:
    """The identity of a resumed run at a service; None for a new run."""
    if run.folder is None or not run.first:
        return None
    return _identities(run.folder).get(service)


def write_identity(folder: Path | None, service: str, identity: str) -> None:
    """Store the identity of a run at a service, until the run is finished."""
    if folder is not None:
        write_json(folder / IDENTITIES, {**_identities(folder), service: identity})


def _identities(folder: Path) -> dict[str, str]:
    with suppress(UserError, ValueError, RecursionError):
        content = json.loads(read_text(folder / IDENTITIES, 1 << 16))
        if isinstance(content, dict):
            return {str(key): value for key, value in content.items() if isinstance(value, str)}
    return {}
