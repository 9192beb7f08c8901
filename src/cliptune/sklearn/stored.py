"""A tuned model as bytes, for pickles: learned tensors and settings, without the backbone."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from cliptune import experiment, model_io
from cliptune.run_dir import CHECKPOINT
from cliptune.tuned import Tuned


def to_bytes(tuned: Tuned) -> bytes:
    """The content of the checkpoint of a tuned model."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / CHECKPOINT
        model_io.save_model(path, tuned.run, tuned.model)
        return path.read_bytes()


def from_bytes(content: bytes) -> Tuned:
    """The tuned model of a checkpoint's content, on the device of its run.

    Its method may be outside of cliptune, as whoever unpickles trusts the pickle.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / CHECKPOINT
        path.write_bytes(content)
        model, run = model_io.load_model(path, allow_code=True)
    return Tuned(model.to(experiment.launch_fabric(run.device, 1, run.precision).device), run)
