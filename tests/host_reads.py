"""Operations of a training step for which the host would wait for a GPU, found on the CPU."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from cliptune.engine.config import TrainConfig
from cliptune.engine.fit import training_set
from cliptune.engine.resume import TrainingProgress
from cliptune.engine.trainer import Trainer
from cliptune.engine.watchers import Watcher
from cliptune.model.tuned_model import TunedModel
from cliptune.types import State, Task
from tiny_tasks import fabric

#: Operations whose result has a size or a value that the host must know.
WAITING = {
    *("nonzero", "masked_select", "_local_scalar_dense", "item", "is_nonzero", "equal", "bincount"),
    *("_unique2", "unique_dim", "unique_consecutive", "repeat_interleave.Tensor", "lift_fresh"),
}
#: Methods of tensors that read their values without such an operation on the CPU.
READING = {"tolist", "numpy", "cpu", "__array__", "__bool__", "__int__", "__float__", "__index__", "item"}
SOURCES = str(Path(torch.__file__).parents[0])


class HostReads(TorchDispatchMode):
    """Records the operations and where cliptune calls them, such as "nonzero: packed_sequences.pack"."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def add(self, name: str) -> None:
        frames = [f for f in traceback.extract_stack() if "/cliptune/" in f.filename]
        self.found.append(f"{name}: {Path(frames[-1].filename).stem}.{frames[-1].name}" if frames else name)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.removesuffix(".default")
        if name in WAITING or name.split(".")[0] in WAITING:
            self.add(name)
        elif name.startswith(("index.", "index_put")) and any(
            i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]
        ):
            self.add(f"{name} by a mask")
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __init__(self, reads: HostReads):
        self.reads = reads

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in READING:
            self.reads.add(func.__name__)
        return func(*args, **(kwargs or {}))


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The operations within the block."""
    with HostReads() as reads, _Methods(reads):
        yield reads.found


class _Steps(Watcher):
    def __init__(self, found: list[str]):
        self.found, self.steps = found, list[list[str]]()

    def step(self, epoch, losses):
        self.steps.append(self.found.copy())
        self.found.clear()

    def epoch(self, row):
        self.found.clear()


def in_each_step(model: TunedModel, task: Task, training: TrainConfig) -> list[list[str]]:
    """The operations of each step of two epochs, from the views of a batch to the update of the parameters."""
    examples, masks = training_set(model, task, training)
    masks = None if masks is None else masks.for_epoch(0)
    batches = list(examples.epoch_batches(0, training.batch_size, fabric().device, masks=masks))
    state = State(0, 2, model.method.prepare(model, task), steps=len(batches))
    with recorded() as found:
        watcher = _Steps(found)
        trainer = Trainer(model, task, training, fabric(), [watcher])
        trainer.train(lambda epoch: ((b, model.method.views(b)) for b in batches), state, TrainingProgress())
    return watcher.steps
