"""A method that logs every epoch it trains, sweeps with it, and a context manager that kills one of their processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from filelock import SoftFileLease

from cliptune.backbones.tokenized_text import tokenize_with_context
from cliptune.config import RunConfig
from cliptune.dir_lock import LOCK_FILE
from cliptune.engine.config import TrainConfig
from cliptune.model.method import Method
from cliptune.prompts.context import TextContext
from cliptune.prompts.initialization import random_tokens
from cliptune.results.store import RESULT_FILE, load_result
from cliptune.run_dir import RESUME
from cliptune.runners.job import Job
from cliptune.sweep import plan_jobs

EPOCHS = 4


@dataclass(frozen=True)
class LoggingMethod(Method):
    """CoOp that appends a line to the file `log` after each epoch, and with Ray, the id of its node to `log`.nodes.

    breaks: "bug" raises an error at the first step, "slow" prolongs each epoch by 0.5 s, "kill" kills the
    process after the eleventh line.
    """

    n_ctx: int = 2
    log: str = ""
    breaks: str = ""

    def learner(self, backbone, classnames, generator):
        return TextContext(random_tokens(self.n_ctx, backbone.text_width, generator))

    def class_prompts(self, backbone, classnames, templates):
        return tokenize_with_context(backbone.prompt_tokenizer, "", self.n_ctx, classnames)

    def prepare(self, model, task):
        return task.seed

    def losses(self, out, batch, state):
        if self.breaks == "bug":
            raise ZeroDivisionError("a bug")
        return {"ce": F.cross_entropy(out.logits, batch.labels)}

    def after_epoch(self, model, state):
        if self.breaks == "slow":
            time.sleep(0.5)
        with open(os.open(self.log, os.O_APPEND | os.O_CREAT | os.O_WRONLY), "a") as file:
            file.write(f"{self.n_ctx} {state.memory} {state.epoch}\n")
        if node := _ray_node():
            with open(f"{self.log}.nodes", "a") as file:
                file.write(f"{node}\n")
        if self.breaks == "kill" and len(Path(self.log).read_text().splitlines()) == 11:
            os.kill(os.getpid(), signal.SIGKILL)


def _ray_node() -> str:
    """The id of the Ray node of this process; "" without Ray."""
    ray = sys.modules.get("ray")
    return ray.get_runtime_context().get_node_id() if ray is not None and ray.is_initialized() else ""


def make_jobs(data: Path, out: Path, *, widths=(1, 2), seeds=(1, 2, 3), epochs: int = EPOCHS, breaks: str = ""):
    """Jobs with each number of tokens in `widths` and each seed, which log to `OUT.log`."""
    log = str(out.parent / f"{out.name}.log")
    training = TrainConfig(epochs=epochs, lr=0.01, batch_size=4, augment="none")
    runs = [
        (f"logged {n}", RunConfig(LoggingMethod(n, log, breaks), f"folder:{data}", shots=2, training=training))
        for n in widths
    ]
    return plan_jobs(runs, seeds, out)


def trained_epochs(out: Path) -> Counter[str]:
    """Count how often each epoch of each job of `make_jobs(..., out)` was trained: "N_CTX SEED EPOCH" -> count."""
    log = out.parent / f"{out.name}.log"
    return Counter(log.read_text().splitlines() if log.is_file() else ())


def all_epochs(jobs: list[Job]) -> set[str]:
    """The epochs that the jobs train, named as in `trained_epochs`."""
    return {
        f"{job.run.method.n_ctx} {job.run.seed} {epoch}"  # type: ignore[attr-defined]
        for job in jobs
        for epoch in range(job.run.training.epochs)
    }


@contextmanager
def kill_one(jobs: list[Job], out: Path) -> Iterator[list[int]]:
    """Kill a process that executes one of the jobs, after two epochs, while the block runs the sweep.

    Yields a list that receives the process id.
    """
    killed: list[int] = []

    def kill() -> None:
        until = time.monotonic() + 200
        while trained_epochs(out).total() < 2 and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.2)
        folder = next(job.folder for job in jobs if (job.folder / RESUME).is_file())
        killed.append(owner_pid(folder))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        killer.join()


def owner_pid(folder: Path) -> int:
    """The id of the process that owns the lock of a run directory."""
    owner = SoftFileLease(folder / LOCK_FILE).owner
    assert owner is not None
    return owner.pid


def list_files(out: Path) -> list[str]:
    """All files below a folder."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def left_behind(jobs: list[Job]) -> dict[str, object]:
    """Metrics, history and file names of a finished sweep: everything that repeating it reproduces."""
    found: dict[str, object] = {}
    for job in jobs:
        name = f"{job.label} {job.run.seed}"
        result = load_result(job.folder / RESULT_FILE)
        found[name] = result.metrics, result.history
        found[f"{name} files"] = sorted(os.listdir(job.folder))
    return found
