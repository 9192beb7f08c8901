"""A method that keeps a log of every epoch it trains, for tests of who executed what; and sweeps of it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F

from cliptune import dir_lock
from cliptune.backbones.tokenized_text import tokenize_with_context
from cliptune.config import RunConfig
from cliptune.engine.config import TrainConfig
from cliptune.model.method import Method
from cliptune.prompts.context import TextContext
from cliptune.prompts.initialization import random_tokens
from cliptune.run_dir import RESUME
from cliptune.runners.job import Job
from cliptune.sweep import plan_jobs

EPOCHS = 4


@dataclass(frozen=True)
class LoggingMethod(Method):
    """CoOp that appends a line to `log` after each epoch, and breaks where it is told to."""

    n_ctx: int = 2
    log: str = ""
    breaks: str = ""
    """"bug" raises something nobody foresaw; "slow" takes a while for each epoch."""

    def learner(self, backbone, classnames, generator):
        return TextContext(random_tokens(self.n_ctx, backbone.text_width, generator))

    def sentences(self, backbone, classnames, templates):
        return tokenize_with_context(backbone.prompt_tokenizer, "", self.n_ctx, classnames)

    def prepare(self, model, task):
        return task.seed

    def losses(self, out, batch, state):
        if self.breaks == "bug":
            raise ZeroDivisionError("nobody foresaw this")
        return {"ce": F.cross_entropy(out.logits, batch.labels)}

    def after_epoch(self, model, state):
        if self.breaks == "slow":
            time.sleep(0.5)
        with open(os.open(self.log, os.O_APPEND | os.O_CREAT | os.O_WRONLY), "a") as file:
            file.write(f"{self.n_ctx} {state.memory} {state.epoch}\n")


def make_jobs(data: Path, out: Path, *, widths=(1, 2), seeds=(1, 2, 3), epochs: int = EPOCHS, breaks: str = ""):
    """Runs of the method with so many tokens, which log to a file beside `out`."""
    log = str(out.parent / f"{out.name}.log")
    training = TrainConfig(epochs=epochs, lr=0.01, batch_size=4, augment="none")
    runs = [
        (f"logged {n}", RunConfig(LoggingMethod(n, log, breaks), f"folder:{data}", shots=2, training=training))
        for n in widths
    ]
    return plan_jobs(runs, seeds, out)


def trained_epochs(out: Path) -> Counter[str]:
    """How often each epoch of each run of `entries(..., out)` was trained."""
    log = out.parent / f"{out.name}.log"
    return Counter(log.read_text().splitlines() if log.is_file() else ())


def all_epochs(planned: list[Job]) -> set[str]:
    """The epochs that are to be trained."""
    return {
        f"{entry.run.method.n_ctx} {entry.run.seed} {epoch}"  # type: ignore[attr-defined]
        for entry in planned
        for epoch in range(entry.run.training.epochs)
    }


@contextmanager
def kill_one(planned: list[Job], out: Path) -> Iterator[list[int]]:
    """While the block runs the sweep, kill the process that does one of its runs, once epochs are done; its number is
    in the list, which stays empty if none could be killed."""
    killed: list[int] = []

    def kill() -> None:
        until = time.monotonic() + 200
        while trained_epochs(out).total() < 2 and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.2)
        sign = next(entry.folder / dir_lock.LOCK_FILE for entry in planned if (entry.folder / RESUME).is_file())
        killed.append(json.loads(sign.read_text())["process"])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        killer.join()


def list_files(out: Path) -> list[str]:
    """All files below a folder."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def left_behind(planned: list[Job]) -> dict[str, object]:
    """What a finished sweep leaves, less what differs from one undisturbed time to the next."""
    from cliptune.results import store

    found: dict[str, object] = {}
    for entry in planned:
        name = f"{entry.label} {entry.run.seed}"
        result = store.load_result(entry.folder / store.RESULT_FILE)
        found[name] = result.metrics, result.history
        found[f"{name} files"] = sorted(os.listdir(entry.folder))
    return found
