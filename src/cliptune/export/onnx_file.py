"""`model.onnx`: an image classifier for onnxruntime and other runtimes."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from cliptune.errors import UserError
from cliptune.export.comparison import Classify
from cliptune.export.usage import PIXELS, Usage

FILE = "model.onnx"
INPUT, OUTPUT = "images", "logits"
LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
USAGE = Usage(
    needs="onnxruntime numpy pillow",
    imports=("import onnxruntime",),
    setup=(f'session = onnxruntime.InferenceSession("{FILE}")',),
    logits=(f'logits = session.run(["{OUTPUT}"], {{"{INPUT}": {PIXELS}}})[0]',),
)


def check_libraries() -> None:
    """Raise `UserError` unless all libraries that the export needs are installed."""
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            raise UserError(f'--to onnx needs {name}, which is not installed: pip install "cliptune[onnx]"') from None


def write_onnx(program: ExportedProgram, path: Path, about: dict[str, Any]) -> None:
    """Write a traced classifier. Its metadata contain the class names, the preprocessing and the
    temperature of `about`."""
    with _quiet():
        onnx = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: "batch"},),  # the name of the dimension, which the program does not keep
            verbose=False,
        )
        assert onnx is not None
        for name in ("classes", "preprocessing", "temperature"):
            if name in about:
                onnx.model.metadata_props[name] = json.dumps(about[name], ensure_ascii=False)
        onnx.save(path)


def session(path: Path) -> Classify:
    """What onnxruntime computes from a file."""
    import onnxruntime

    loaded = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def classify(images: np.ndarray) -> np.ndarray:
        return np.asarray(loaded.run([OUTPUT], {INPUT: images})[0])

    return classify


def about_onnx(size: Sequence[int], classes: int) -> dict[str, Any]:
    """What `classifier.json` says of the file."""
    return {
        "file": FILE,
        "input": {"name": INPUT, "type": "uint8", "shape": ["batch", 3, *size], "values": "RGB from 0 to 255"},
        "output": {
            "name": OUTPUT,
            "type": "float32",
            "shape": ["batch", classes],
            "values": "logits; their softmax are probabilities",
        },
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings, log messages and progress that the exporter prints for its developers."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)
