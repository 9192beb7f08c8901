"""Sweeps: ordered by seed, checked before the first run, each run executed once."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from cliptune import experiment, sweep
from cliptune.commands.report import checkpoints_of_one_task
from cliptune.config import RunConfig, with_options
from cliptune.data.custom.folder import Folder
from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.methods.maple import Maple
from cliptune.methods.zeroshot import ZeroShot
from cliptune.report.collect.models import restore_models
from cliptune.report.collect.panels import collect_panels, most_disputed
from tiny_tasks import write_images


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = write_images(tmp_path_factory.mktemp("sweep") / "p", classes=("cat", "horse", "pig", "mouse"), each=6)
    base = {
        "data": f"folder:{root}",
        "shots": 2,
        "protocol": "base_to_novel",
        "training": TrainConfig(epochs=1, augment="none"),
    }
    return [("CLIP", RunConfig(ZeroShot(), **base)), ("coop 2", RunConfig(CoOp(n_ctx=2), **base))]


@pytest.fixture(scope="module")
def swept(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "out"
    return out, sweep.run_jobs(sweep.plan_jobs(runs, (1, 2), out), quiet())


def quiet():
    return Console(file=io.StringIO())


def test_the_plan_is_ordered_by_seed(runs, tmp_path):
    plan = sweep.plan_jobs(runs, (3, 1), tmp_path)
    assert [(e.label, e.run.seed) for e in plan] == [("CLIP", 3), ("coop 2", 3), ("CLIP", 1), ("coop 2", 1)]
    assert plan[1].folder == tmp_path / "coop_2" / "seed3"
    assert replace(plan[1].run, seed=1) == runs[1][1]


def test_results_are_in_the_order_of_the_plan(swept):
    _, results = swept
    assert [(r.method, r.seed) for r in results] == [("CLIP", 1), ("coop 2", 1), ("CLIP", 2), ("coop 2", 2)]
    assert all({"base", "novel"} <= set(r.metrics) for r in results)


def test_runs_of_a_seed_share_their_data(swept):
    _, results = swept
    prints = [r.provenance["data_fingerprint"] for r in results]
    assert prints[0] == prints[1] != prints[2] == prints[3]


def test_a_run_in_a_sweep_equals_the_single_run(runs, swept):
    out, results = swept
    _, alone = experiment.run_experiment(replace(runs[1][1], seed=2))
    assert (alone.metrics, alone.history) == (results[3].metrics, results[3].history)


def test_finished_runs_are_read_and_missing_runs_are_executed(runs, swept, monkeypatch):
    out, results = swept
    executed = []
    original = experiment.run_experiment
    monkeypatch.setattr(
        experiment, "run_experiment", lambda run, *a, **k: (executed.append(run), original(run, *a, **k))[1]
    )
    assert sweep.run_jobs(sweep.plan_jobs(runs, (1, 2), out), quiet()) == results and executed == []
    (out / "coop_2" / "seed1" / "result.json").unlink()
    again = sweep.run_jobs(sweep.plan_jobs(runs, (1, 2), out), quiet())
    assert executed == [replace(runs[1][1], seed=1)] and again[1].metrics == results[1].metrics


def test_a_mistake_in_the_last_run_is_reported_before_the_first_starts(runs, tmp_path):
    wrong = ("deep", RunConfig(Maple(depth=30), data=runs[0][1].data, shots=2))
    with pytest.raises(UserError, match="depth=30 is more than"):
        sweep.run_jobs(sweep.plan_jobs([*runs, wrong], (1,), tmp_path / "o"), quiet())
    assert not (tmp_path / "o").exists()


def test_a_folder_of_other_settings_is_refused(runs, swept):
    out, _ = swept
    changed = [(label, with_options(run, {"epochs": 2})) for label, run in runs]
    with pytest.raises(UserError, match="another configuration"):
        sweep.run_jobs(sweep.plan_jobs(changed, (1,), out), quiet())


def test_panels_for_the_report(swept):
    out, _ = swept
    folders = checkpoints_of_one_task(out)
    assert folders == {"CLIP": out / "CLIP" / "seed1", "coop 2": out / "coop_2" / "seed1"}
    found = collect_panels(restore_models(folders), count=3)
    assert len(found) == 3
    for panel in found:
        assert panel.label == "base" and panel.image.shape == (3, 64, 64) and panel.mask is None
        assert [a.method for a in panel.answers] == ["CLIP", "coop 2"]
        for answer in panel.answers:
            assert answer.correct == (answer.prediction == panel.title)
            assert answer.saliency.shape == (64, 64) and 0 <= answer.saliency.min() <= answer.saliency.max() <= 1 + 1e-6
    assert len({panel.title for panel in found}) == 2, "a class does not come twice before all came once"


def test_the_most_disputed_images_come_first_one_per_class():
    import torch

    def answers(right):
        return torch.stack(
            [
                torch.tensor([p, 1 - p]) if y == 0 else torch.tensor([1 - p, p])
                for p, y in zip(right, labels, strict=True)
            ]
        )

    labels = torch.tensor([0, 0, 0, 1, 1])
    predictions = {"a": answers([0.9, 0.5, 0.1, 0.2, 0.6]), "b": answers([0.1, 0.5, 0.8, 0.3, 0.9])}
    # Disputes: 0.8, 0.0, 0.7, 0.1, 0.3.
    assert most_disputed(predictions, labels, 2) == [0, 4]
    assert most_disputed(predictions, labels, 5) == [0, 4, 2, 3, 1]


def test_panels_need_checkpoints(tmp_path):
    with pytest.raises(UserError, match="no checkpoints under .*; use --pictures 0"):
        checkpoints_of_one_task(tmp_path)


def test_methods_with_a_frozen_image_tower_encode_test_images_once(runs, tmp_path, monkeypatch):
    read, seen = Folder.read, []
    monkeypatch.setattr(Folder, "read", lambda self, example: (seen.append(example.key), read(self, example))[1])
    sweep.run_jobs(sweep.plan_jobs(runs, (1, 2), tmp_path), quiet())
    tested = {e.key for e in Folder(runs[0][1].data.removeprefix("folder:")).examples("test")}
    assert tested and all(seen.count(key) == 1 for key in tested)
