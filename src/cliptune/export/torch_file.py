"""`model.pt2`: an image classifier as a program of `torch.export`, which PyTorch alone loads."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import Dim, ExportedProgram

from cliptune.errors import UserError
from cliptune.export.comparison import Classify
from cliptune.export.usage import PIXELS, Usage
from cliptune.model.image_classifier import ImageClassifier

FILE = "model.pt2"
USAGE = Usage(
    needs="torch numpy pillow",
    imports=("import torch",),
    setup=(f'model = torch.export.load("{FILE}").module()',),
    logits=(f"logits = model(torch.from_numpy({PIXELS}.copy())).detach().numpy()",),
)


def trace(classifier: ImageClassifier, method: str) -> ExportedProgram:
    """The program of uint8 images `(batch, 3, H, W)` to logits `(batch, C)`.

    Raises `UserError` if PyTorch cannot trace what the method computes.
    """
    device = classifier.mean.device
    example = torch.zeros(2, 3, *classifier.size, dtype=torch.uint8, device=device)
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            return torch.export.export(classifier.eval(), (example,), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:  # PyTorch raises its own types, and passes on those of the traced code
        if isinstance(error, torch.OutOfMemoryError):
            raise
        lines = str(error).strip().splitlines() or [""]
        raise UserError(
            f"this model ({method}) cannot be exported: PyTorch cannot trace what it computes "
            f"({type(error).__name__}: {lines[0][:200].strip(' .')}); use the run itself"
        ) from error


def write_program(program: ExportedProgram, folder: Path) -> Classify:
    """Write `model.pt2`. Returns what the file computes, as read again."""
    path = folder / FILE
    with warnings.catch_warnings(action="ignore"):
        torch.export.save(program, path)
        module = torch.export.load(path).module()

    def classify(images: np.ndarray) -> np.ndarray:
        return module(torch.from_numpy(images)).numpy()

    return classify


def about_program(size: Sequence[int], classes: int) -> dict[str, Any]:
    """What `classifier.json` says of the file."""
    return {
        "file": FILE,
        "input": {"type": "uint8", "shape": ["batch", 3, *size], "values": "RGB from 0 to 255"},
        "output": {"type": "float32", "shape": ["batch", classes], "values": "logits; their softmax are probabilities"},
    }
