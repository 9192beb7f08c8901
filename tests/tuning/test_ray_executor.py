"""Trials on Ray: with a stand-in for it, and on a cluster of this machine, one of whose workers is killed."""

import asyncio
import dataclasses
import importlib.util
import os
from pathlib import Path

import pytest

import cliptune as ct
import logging_method
from cliptune.tuning import ray_tasks
from cliptune.tuning.study import Outcome
from fake_ray import FakeRay, WorkerCrashedError

SPACE = {"lr": "log:0.001:1", "n_ctx": "2,3"}
OPTIONS = {"shots": 2, "epochs": 2, "min_steps": 0, "words": "", "n_ctx": 2, "batch_size": 6, "seed": 2}
OPTIONS |= {"scored_on": "validation", "trials": 4}

pytestmark = pytest.mark.filterwarnings("ignore:.*images are few")


@pytest.fixture
def ray(monkeypatch):
    ray_tasks._prepare.cache_clear()
    return FakeRay(cores=1).install(monkeypatch)


def tune(photos, out, **options):
    return ct.tune("coop", f"folder:{photos}", space=SPACE, out=out, **{**OPTIONS, "runner": "ray", **options})


def rows_of(result):
    return [(row.state, row.accuracy, dict(row.settings)) for row in result.rows]


def test_the_trials_are_those_of_the_local_runner(ray, photos, tmp_path):
    lines = []
    result = tune(photos, tmp_path / "out", report=lines.append)
    assert rows_of(result) == rows_of(tune(photos, tmp_path / "local", runner="local"))
    assert [line.partition(": ")[0] for line in lines] == [f"trial {i} ({i + 1} of 4)" for i in range(4)]
    tasks = [options for options in ray.options if "max_retries" in options]
    assert tasks and all(options["num_cpus"] == 1 and options["num_gpus"] == 0 for options in tasks)
    started = len(ray.options)
    assert rows_of(tune(photos, tmp_path / "out")) == rows_of(result) and len(ray.options) == started


def test_bad_trials_are_pruned(ray, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("cliptune.tuning.study.RANDOM_TRIALS", 4)
    monkeypatch.setattr("cliptune.tuning.study.TRIALS_BEFORE_PRUNING", 1)
    accuracies = iter([90.0] * 8 + [10.0] * 50)
    monkeypatch.setattr("cliptune.tuning.trial.validate", lambda *args: next(accuracies))
    result = tune(photos, tmp_path / "out", trials=3, epochs=8)
    assert [row.state for row in result.rows] == ["complete", "pruned", "pruned"]
    assert [row.accuracy for row in result.rows] == [90.0, 10.0, 10.0]


def dying(monkeypatch, dies, error=WorkerCrashedError):
    """Replace trials but the first; `dies` decides by the number of trials before whether the process dies."""
    calls = []

    def attempt_trial(run, settings, *args):
        calls.append(settings)
        if dies(len(calls) - 1):
            raise error("no process")
        return Outcome("complete", 1.0, 50.0)

    monkeypatch.setattr(ray_tasks, "attempt_trial", attempt_trial)
    return calls


def test_the_trial_of_a_worker_that_died_is_repeated(ray, photos, tmp_path, monkeypatch):
    calls = dying(monkeypatch, lambda before: before == 0)
    with pytest.warns(UserWarning, match="trial 1: its worker died; it is repeated"):
        result = tune(photos, tmp_path / "out", trials=3)
    assert calls[0] == calls[1] != calls[2]
    assert [(row.number, row.state) for row in result.rows] == [(0, "complete"), (2, "complete"), (3, "complete")]


@pytest.mark.filterwarnings("ignore:trial .* is repeated")
def test_settings_whose_workers_die_fail(ray, photos, tmp_path, monkeypatch):
    calls = dying(monkeypatch, lambda before: before < 3)
    result = tune(photos, tmp_path / "out", trials=3)
    assert calls[0] == calls[1] == calls[2] != calls[3]
    assert [row.state for row in result.rows] == ["complete", "failed", "complete"]
    assert result.rows[1].reason == "its worker died, as in 2 attempts before"


def test_an_interrupted_search_continues(ray, photos, tmp_path, monkeypatch):
    calls = dying(monkeypatch, lambda before: before == 1, KeyError)
    with pytest.raises(ct.UserError, match="a task on the Ray cluster failed: KeyError: 'no process'"):
        tune(photos, tmp_path / "out", trials=3)
    result = tune(photos, tmp_path / "out", trials=3, runner="local")
    assert [row.state for row in result.rows] == ["complete"] * 3 and result.rows[2].settings == calls[1]


def test_a_machine_with_other_images(ray, photos, tmp_path, monkeypatch):
    real = ray_tasks.validation_of

    def validation_of(*args):
        task = real(*args)
        return dataclasses.replace(task, folds=(dataclasses.replace(task.folds[0], val=task.folds[0].val[1:]),))

    monkeypatch.setattr(ray_tasks, "validation_of", validation_of)
    with pytest.raises(ct.UserError, match="finds other content for folder:.*same files under the same paths"):
        tune(photos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_machine_that_does_not_see_the_images(ray, photos, tmp_path, monkeypatch):
    def validation_of(run, *args):
        return ct.train(run.method, f"folder:{tmp_path / 'none'}")

    monkeypatch.setattr(ray_tasks, "validation_of", validation_of)
    with pytest.raises(ct.UserError, match="none") as here:
        ct.train("coop", f"folder:{tmp_path / 'none'}")
    with pytest.raises(ct.UserError) as there:
        tune(photos, tmp_path / "out")
    assert str(there.value) == str(here.value) and not (tmp_path / "out").exists()


def test_more_cores_than_the_cluster_has(ray, photos, tmp_path):
    with pytest.raises(ct.UserError, match="--cpus-per-task 2 is more than the Ray cluster has: 1 CPUs"):
        tune(photos, tmp_path / "out", cpus_per_task=2)
    assert not (tmp_path / "out").exists()


def test_a_dataset_object_is_refused(tmp_path):
    from python_datasets import LabeledImages

    with pytest.raises(ct.UserError, match="runner='ray': a dataset object exists in this process only"):
        ct.tune("coop", LabeledImages(), out=tmp_path / "out", runner="ray")


def test_a_restarted_exchange():
    async def talk():
        exchange = ray_tasks.Exchange()
        await exchange.decide(3, 1, True)  # about a report to the actor before
        assert await exchange.report(3, 1, 50.0)
        waiting = asyncio.ensure_future(exchange.report(3, 2, 60.0))
        await asyncio.sleep(0)
        assert await exchange.next_reports() == [(3, 1, 50.0), (3, 2, 60.0)]
        await exchange.decide(3, 2, False)
        await exchange.decide(3, 2, True)
        return await waiting

    assert asyncio.run(talk()) is False


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the package ray")
def test_a_cluster_of_this_machine(photos, tmp_path, monkeypatch, recwarn):
    monkeypatch.setenv("PYTHONPATH", str(Path(logging_method.__file__).parent), prepend=os.pathsep)
    options = {**OPTIONS, "epochs": 8, "space": {"lr": "log:0.001:1"}}
    del options["words"]

    def tune_logged(log, breaks, **more):
        method = logging_method.LoggingMethod(2, str(tmp_path / log), breaks)
        return ct.tune(method, f"folder:{photos}", **{**options, **more})

    result = tune_logged("ray.log", "kill", out=tmp_path / "ray", runner="ray", processes=1)
    assert any("trial 1: its worker died; it is repeated" in str(warning.message) for warning in recwarn)
    assert [row.number for row in result.rows] == [0, 2, 3, 4] and result.count("failed") == 0
    assert rows_of(result) == rows_of(tune_logged("local.log", "", out=tmp_path / "local"))
