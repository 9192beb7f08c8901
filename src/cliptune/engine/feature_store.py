"""Features of pictures by a frozen image tower, on disk: computed by whichever process of a sweep comes first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import PIL
import torch
import torchvision
from filelock import FileLock
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.data.dataset import Dataset
from cliptune.engine import checkpoint
from cliptune.errors import UserError
from cliptune.types import Example

_folder: ContextVar[Path | None] = ContextVar("shared folder", default=None)
MAKERS = ("features 2", torch.__version__, torchvision.__version__, PIL.__version__)


@contextmanager
def within(folder: Path | None) -> Iterator[None]:
    """Share what is computed in the block through a folder; None shares nothing."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def file_of(backbone: Backbone, dataset: Dataset, examples: Sequence[Example], *settings: Any) -> Path | None:
    """Where features of examples are shared, or None: nothing is, or nobody knows what decides its pictures.

    settings: what else decides the numbers.
    """
    folder = _folder.get()
    files = dataset.reads_files
    if folder is None or not (files or dataset.content_id):
        return None
    device = backbone.logit_scale.device.type
    with backbone.autocast():
        kind = str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else "32"
    about = [*MAKERS, backbone.fingerprints.backbone, backbone.linear_backend, device, kind]
    about += [dataset.content_id, dataset.reading.shrink, *settings]
    said = hashlib.sha256(json.dumps(about).encode())
    for example in examples:
        try:
            said.update(
                f"\n{_of_file(example.path) if files and example.path else example.key}".encode(
                    errors="surrogateescape"
                )
            )
        except OSError:
            return None
    return folder / "features" / f"{said.hexdigest()[:32]}.safetensors"


def _of_file(path: Path) -> str:
    stat = path.stat()
    return f"{path.absolute()}\0{stat.st_mtime_ns}\0{stat.st_size}"


@contextmanager
def turn(file: Path | None) -> Iterator[None]:
    """While one process computes a file, others wait for it, where the disk knows locks."""
    lock = None
    if file is not None:
        with suppress(OSError, NotImplementedError):
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(file.with_suffix(".lock"))
            lock.acquire()
            for left in file.parent.glob(f".{file.name}.*.tmp"):  # by a process killed while it wrote
                left.unlink(missing_ok=True)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def read(file: Path | None, size: int, device: torch.device) -> list[Tensor] | None:
    """Features `(size, d)` batch by batch, or None where there are none, or damaged ones."""
    if file is None or not file.is_file():
        return None
    try:
        held = checkpoint.read_checkpoint(file)[0].get("features")
    except UserError:
        return None
    return None if held is None or not held.ndim else list(held.to(device).split(size))


def write(file: Path | None, features: Sequence[Tensor]) -> None:
    """Leave features for others; a full disk is no reason to stop."""
    if file is not None:
        with suppress(UserError):
            checkpoint.write_checkpoint(file, {"features": torch.cat(list(features))}, {})
