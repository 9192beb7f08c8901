"""The numbers of a run depend on its configuration alone, not on the runs before it in the process."""

import itertools
import warnings
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

import pytest

from cliptune import experiment
from cliptune.backbones import load
from cliptune.config import RunConfig
from cliptune.engine.config import TrainConfig
from cliptune.engine.evaluate import predict_logits
from cliptune.engine.watchers import Watcher
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import Dapt
from cliptune.methods.maple import Maple
from tiny_tasks import learned, task

BRIEF = TrainConfig(epochs=2, batch_size=3, lr=0.05, warmup_epochs=0)
#: Runs that share a backbone and its cached features, and differ in all that a process could carry over: the prompted
#: towers, masks, training views and precision.
RUNS = {
    "coop": RunConfig(CoOp(n_ctx=2), training=BRIEF),
    "maple+dapt": RunConfig(Dapt(Maple(n_ctx=2, depth=2, words=""), masks_from="gradcam"), seed=2, training=BRIEF),
    "interrupted": RunConfig(
        CoOp(n_ctx=2), seed=3, precision="bf16", training=replace(BRIEF, augment="flip", optimizer="adamw")
    ),
}


class Stop(Exception):
    pass


class Stopper(Watcher):
    def epoch(self, row):
        raise Stop


def numbers(name, folder):
    """All numbers of a run, exactly."""
    run = RUNS[name]
    with warnings.catch_warnings():
        # The interrupted run continues under another backend, which must not change the backbone of the others.
        warnings.filterwarnings("ignore", ".*was computed with linear_backend")
        if name == "interrupted":
            with pytest.raises(Stop):
                experiment.run_experiment(
                    replace(run, linear_backend="torch"),
                    folder,
                    task=task(classes=2, shots=3, seed=run.seed),
                    watchers=[Stopper()],
                )
        model, result = experiment.run_experiment(run, folder, task=task(classes=2, shots=3, seed=run.seed))
    toy = task(classes=2, shots=3, seed=run.seed)
    logits = predict_logits(model, toy.dataset, toy.tests["test"])
    return result.metrics, result.history, logits.tolist(), {name: x.tolist() for name, x in learned(model).items()}


@contextmanager
def new_process():
    """Runs start without a backbone in memory, as in a new process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "_cached", lru_cache(maxsize=2)(load._cached.__wrapped__))
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The numbers of each run in a process of its own."""
    found = {}
    for name in RUNS:
        with new_process():
            found[name] = numbers(name, tmp_path_factory.mktemp("alone") / name)
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(RUNS)), ids=" ".join)
def test_runs_in_every_order_have_the_numbers_of_runs_alone(order, alone, tmp_path):
    with new_process():
        assert {name: numbers(name, tmp_path / name) for name in order} == alone
