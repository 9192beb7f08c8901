"""Image features of frozen towers on disk, shared by the processes of a sweep: the first process computes them."""

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
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.data.dataset import Dataset
from cliptune.dir_lock import lock_file
from cliptune.engine import checkpoint
from cliptune.errors import UserError
from cliptune.types import Example

_folder: ContextVar[Path | None] = ContextVar("folder", default=None)
#: Versions that determine the features.
VERSIONS = ("features 2", torch.__version__, torchvision.__version__, PIL.__version__)


@contextmanager
def share_features(folder: Path | None) -> Iterator[None]:
    """Read and write features under `folder` within the block; None keeps them in memory."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def feature_file(backbone: Backbone, dataset: Dataset, examples: Sequence[Example], *settings: Any) -> Path | None:
    """The file for the features of examples. None outside of `share_features`, and for data whose content is unknown.

    The name is a hash of everything that determines the features, such as paths, sizes and modification times of image
    files.

    settings: Further values that determine them.
    """
    folder = _folder.get()
    if folder is None or not (dataset.reads_files or dataset.content_id):
        return None
    device = backbone.logit_scale.device.type
    with backbone.autocast():
        precision = str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else "32"
    about = [*VERSIONS, backbone.fingerprints.backbone, backbone.linear_backend, device, precision]
    about += [dataset.content_id, dataset.reading.shrink, *settings]
    digest = hashlib.sha256(json.dumps(about).encode())
    for example in examples:
        try:
            content = _file_identity(example.path) if dataset.reads_files and example.path else example.key
        except OSError:
            return None
        digest.update(f"\n{content}".encode(errors="surrogateescape"))
    return folder / "features" / f"{digest.hexdigest()[:32]}.safetensors"


def _file_identity(path: Path) -> str:
    stat = path.stat()
    return f"{path.absolute()}\0{stat.st_mtime_ns}\0{stat.st_size}"


@contextmanager
def exclusive(file: Path | None) -> Iterator[None]:
    """Hold the lock of `file` within the block, if its file system supports locks; other processes wait."""
    with lock_file(file) as locked:
        if file is not None and locked:
            with suppress(OSError):
                for leftover in file.parent.glob(f".{file.name}.*.tmp"):  # of a process killed while writing
                    leftover.unlink(missing_ok=True)
        yield


def read_features(file: Path | None, batch_size: int, device: torch.device) -> list[Tensor] | None:
    """Batches of features `(batch_size, d)`, or None if the file is missing or damaged."""
    if file is None or not file.is_file():
        return None
    try:
        features = checkpoint.read_checkpoint(file)[0].get("features")
    except UserError:
        return None
    return None if features is None or not features.ndim else list(features.to(device).split(batch_size))


def write_features(file: Path | None, features: Sequence[Tensor]) -> None:
    """Write batches of features. Errors, such as a full disk, are ignored, as the features are in memory."""
    if file is not None:
        with suppress(UserError):
            checkpoint.write_checkpoint(file, {"features": torch.cat(list(features))}, {})
