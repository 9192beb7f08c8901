"""Loggers: what each gets and writes, that a failing one ends no run, and that they change no result."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cliptune as ct
from cliptune import loggers
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.loggers.common import log_watcher
from cliptune.loggers.common.logger import Logger, RunStart, read_identity, write_identity
from cliptune.loggers.common.pictures import choose_examples
from cliptune.run_dir import IDENTITIES
from cliptune.types import Example

pytestmark = pytest.mark.filterwarnings("ignore:the images have no masks", "ignore:cached_views=1")
#: Values of a run that do not depend on time.
STABLE = ("metrics", "history", "config")


class Recorder(Logger):
    """Keeps what it is told. fail: the name of a method that raises."""

    def __init__(self, fail: str = ""):
        self.fail, self.calls = fail, []

    def _keep(self, name, *values):
        self.calls.append((name, *values))
        if name == self.fail:
            raise RuntimeError("the server is gone")

    def start(self, run):
        self._keep("start", run)

    def scalars(self, values, epoch):
        self._keep("scalars", values, epoch)

    def pictures(self, pictures):
        self._keep("pictures", pictures)

    def finish(self, result, folder):
        self._keep("finish", result, folder)

    @property
    def names(self):
        return [name for name, *_ in self.calls]


def train(photos, method="coop", **more):
    return ct.train(method, data=f"folder:{photos}", shots=2, **{"epochs": 2, **more})


def test_what_a_logger_is_told(photos, tmp_path):
    recorder = Recorder()
    run = train(photos, "coop+dapt", log=recorder, out=tmp_path / "run")
    assert recorder.names == ["start", "scalars", "scalars", "pictures", "finish"]
    (_, start), first, second, (_, pictures), (_, result, folder) = recorder.calls
    assert start.name == "coop+dapt, seed 1" and start.config["method"]["name"] == "dapt" and start.first == 0
    assert [epoch for *_, epoch in (first, second)] == [0, 1] and {"lr", "loss"} <= first[1].keys()
    assert [row["loss"] for _, row, _ in (first, second)] == [row["loss"] for row in run.result.history]
    assert folder == start.folder == tmp_path / "run" and result == run.result
    assert (folder / "checkpoint.safetensors").is_file()
    captions = [picture.caption for picture in pictures]
    assert [caption.partition(":")[0] for caption in captions[:3]] == list(run.classnames) and len(captions) == 4
    height, width, _ = pictures[0].pixels.shape
    assert pictures[0].pixels.dtype == np.uint8 and width == 3 * height, "the image, its mask and its Grad-CAM"


def test_loggers_change_no_result_and_methods_without_training_are_logged(photos):
    for method in ("coop", "zeroshot"):
        recorder = Recorder()
        plain, logged = train(photos, method), train(photos, method, log=[recorder])
        assert all(getattr(plain.result, name) == getattr(logged.result, name) for name in STABLE)
        assert recorder.names[0] == "start" and recorder.names[-2:] == ["pictures", "finish"]


@pytest.mark.parametrize("fail", ["start", "scalars", "pictures", "finish"])
def test_a_failing_logger_is_said_once_and_the_others_go_on(photos, fail):
    failing, other = Recorder(fail), Recorder()
    with pytest.warns(UserWarning, match="Recorder stopped logging .the server is gone.; the run continues") as said:
        run = train(photos, log=[failing, other])
    assert len([one for one in said if "stopped logging" in str(one.message)]) == 1 and run.result.metrics
    assert failing.names[-1] == fail and other.names == ["start", "scalars", "scalars", "pictures", "finish"]


def test_pictures_that_cannot_be_made_stop_no_logger(photos, monkeypatch):
    def broken(*_):
        raise UserError("no map of this tower")

    monkeypatch.setattr(log_watcher, "training_pictures", broken)
    recorder = Recorder()
    with pytest.warns(UserWarning, match="no pictures of training images are logged: no map of this tower"):
        train(photos, log=recorder)
    assert recorder.names[-1] == "finish" and "pictures" not in recorder.names


def test_a_failed_run_is_finished_without_a_result(photos, monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr("cliptune.experiment._test_metrics", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(photos, log=recorder)
    assert recorder.calls[-1] == ("finish", None, None)


def test_stages_count_epochs_on(photos):
    recorder = Recorder()
    train(photos, "dpl", log=recorder, epochs=1)
    epochs = [call[2] for call in recorder.calls if call[0] == "scalars"]
    assert epochs == list(range(len(epochs))) and len(epochs) > 1
    assert recorder.names.count("start") == 1


def test_csv_and_tensorboard(photos, tmp_path):
    run = train(photos, log=["csv", "tensorboard"], out=tmp_path)
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"] and rows[0]["accuracy/test"] == ""
    assert float(rows[1]["accuracy/test"]) == run.result.metrics["test"]
    assert float(rows[0]["loss"]) == run.result.history[0]["loss"]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"lr", "loss", "accuracy/test"} <= set(events.Tags()["scalars"])
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([row["loss"] for row in run.result.history])
    assert len(events.Tags()["images"]) == 4


def test_a_resumed_csv_keeps_the_epochs_before(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,lr,loss\n0,0.1,3.0\n1,0.1,2.0\n2,0.1,1.0\n")
    logger = loggers.REGISTRY.get("csv")()
    logger.start(RunStart("coop", {}, tmp_path, first=2))
    logger.scalars({"lr": 0.1, "loss": 1.5, "val": 50.0}, 2)
    assert (tmp_path / "log.csv").read_text() == "epoch,lr,loss,val\n0,0.1,3.0,\n1,0.1,2.0,\n2,0.1,1.5,50.0\n"


def test_identities_are_for_resumed_runs(tmp_path):
    write_identity(tmp_path, "wandb", "abc")
    write_identity(tmp_path, "mlflow", "def")
    start = RunStart("coop", {}, tmp_path)
    assert read_identity(start, "wandb") is None
    assert read_identity(dataclasses.replace(start, first=1), "wandb") == "abc"
    assert json.loads((tmp_path / IDENTITIES).read_text()) == {"mlflow": "def", "wandb": "abc"}


class Service(Logger):
    """Continues the run of the service that the folder names, and stops the training after `last` epochs."""

    def __init__(self, last=99):
        self.last, self.known = last, None

    def start(self, run):
        self.known = read_identity(run, "service")
        write_identity(run.folder, "service", self.known or "abc")

    def scalars(self, values, epoch):
        if epoch + 1 == self.last:
            raise KeyboardInterrupt


@pytest.mark.parametrize("logs", [True, False], ids=["with the logger", "without"])
def test_a_resumed_run_continues_at_its_services_until_it_is_finished(photos, tmp_path, logs):
    first, second, third = Service(1), Service(2), Service()
    for service in (first, second):
        with pytest.raises(KeyboardInterrupt):
            train(photos, log=service, out=tmp_path, epochs=4)
        assert json.loads((tmp_path / IDENTITIES).read_text()) == {"service": "abc"}
    run = train(photos, out=tmp_path, epochs=4, **({"log": third} if logs else {}))
    assert (first.known, second.known, third.known) == (None, "abc", "abc" if logs else None)
    assert len(run.result.history) == 4 and not (tmp_path / IDENTITIES).exists()


def test_a_run_that_fails_in_its_first_epoch_leaves_no_identity(photos, tmp_path):
    class Refuses(Watcher):
        def step(self, epoch, losses):
            raise UserError("the first step failed")

    with pytest.raises(UserError, match="the first step failed"):
        train(photos, log=Service(), watchers=[Refuses()], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pictures_are_of_different_classes():
    examples = tuple(Example(f"{label}/{i}", label) for label in range(10) for i in range(3))
    assert [e.key for e in choose_examples(examples, 4)] == ["0/0", "2/0", "5/0", "7/0"]
    assert [e.key for e in choose_examples(examples[:4], 4)] == ["0/0", "1/0", "0/1", "0/2"]


def test_names_that_cannot_be_used(photos, monkeypatch):
    with pytest.raises(UserError, match="unknown logger 'wandbb'.*nearest: wandb"):
        loggers.build_loggers("wandbb")
    with pytest.raises(UserError, match="log takes csv, mlflow, tensorboard, wandb, or objects"):
        loggers.build_loggers([3])  # type: ignore[list-item]
    with pytest.raises(UserError, match="writes to the folder of the run; name one with out"):
        train(photos, log="csv")
    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        with pytest.raises(UserError, match=rf'pip install "cliptune\[{name}\]"'):
            loggers.build_loggers(name)
