"""The comparison as a whole: choice, time limit, interruptions, refusals."""

import json
import shutil

import pytest

import cliptune as ct
import tiny_clips
from cliptune.backbones.backbone import Backbone
from cliptune.engine.watchers import Watcher
from cliptune.selection import compare
from cliptune.selection.candidates import preset_runs, with_options
from cliptune.selection.choice import Choice
from cliptune.selection.select import select
from cliptune.selection.time_limit import Budget
from python_datasets import LabeledImages
from tiny_tasks import write_images

QUICK = {"epochs": 2, "batch_size": 4, "augment": "none", "cached_views": 1, "min_steps": 0}
METHODS = ("zeroshot", "linear_probe", "coop")


class Ticking(Watcher):
    """Moves a clock by one second per training step; may interrupt at a step."""

    def __init__(self, interrupt_at: int = 0):
        self.now, self.steps, self.interrupt_at = 0.0, 0, interrupt_at

    def __call__(self) -> float:
        return self.now

    def step(self, epoch, losses):
        self.now += 1
        self.steps += 1
        if self.steps == self.interrupt_at:
            raise KeyboardInterrupt


@pytest.fixture
def start(photos):
    def call(out, clock=None, limit=float("inf"), names=METHODS, data=photos, folds=2, **options):
        clock = clock or Ticking()
        base = {"data": f"folder:{data}", "shots": 0, "backbone": "tiny"}
        runs = with_options(preset_runs(names, "auto", base), {**QUICK, **options})
        return select(runs, out, Budget(limit, clock), folds=folds, watchers_of=lambda title: [clock])

    return call


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """A finished comparison."""
    out = tmp_path_factory.mktemp("whole") / "best"
    return ct.auto(f"folder:{photos}", out=out, methods=METHODS, folds=2, backbone="tiny", time_limit=0, **QUICK)


def test_the_winner_is_a_run_and_its_leaderboard_is_next_to_it(whole, photos):
    out = whole.run.folder
    assert whole.winner in METHODS and "cross-validation over 18 images; 6 test images" in whole.notes[0]
    again = ct.load(out)
    assert again.result.metrics == whole.run.result.metrics == pytest.approx(again.evaluate())
    assert again.predict(photos / "cat" / "0.png")[0] in ("cat", "horse", "pig")
    assert again.result.provenance["chosen"]["winner"] == whole.winner
    written = json.loads((out / "leaderboard.json").read_text())
    assert written["rows"] == list(whole.rows) and written["reason"] == whole.reason
    assert len(written["folds"]) == 2 and len({key for fold in written["folds"] for key in fold}) == 18
    assert (out / "leaderboard.csv").read_text().count("\n") == 4


def test_rows_of_the_leaderboard(whole):
    by_name = {row["method"]: row for row in whole.rows}
    assert set(by_name) == set(METHODS) and by_name["zeroshot"]["gain"] == 0
    for row in whole.rows:
        assert row["finished"] and row["folds"] == 2 and row["images"] == 18
        assert row["accuracy"] == pytest.approx(100 * row["correct"] / 18)
        assert row["low"] <= row["accuracy"] <= row["high"]
    assert by_name["zeroshot"]["parameters"] == 0 < by_name["coop"]["parameters"]
    accuracies = [row["accuracy"] for row in whole.rows]
    assert accuracies == sorted(accuracies, reverse=True)


def test_the_table_without_pandas(whole, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    assert set(whole.leaderboard["method"]) == set(METHODS)


def test_a_training_equals_that_of_train(whole, photos):
    run = ct.train(whole.winner, data=f"folder:{photos}", shots=0, backbone="tiny", **QUICK)
    assert run.result.metrics == whole.run.result.metrics


@pytest.mark.parametrize("step", [1, 7, 16])
def test_an_interrupted_call_goes_on(start, whole, tmp_path, step):
    out, clock = tmp_path / "best", Ticking(interrupt_at=step)
    with pytest.raises(KeyboardInterrupt):
        start(out, clock)
    again = Ticking()
    found = start(out, again)
    columns = ("method", "correct", "gain", "p", "parameters")
    assert [[row[c] for c in columns] for row in found.rows] == [[row[c] for c in columns] for row in whole.rows]
    assert found.run.result.metrics == whole.run.result.metrics
    assert clock.steps == step and again.steps > 0


def test_an_interrupted_final_training_goes_on(start, tmp_path, monkeypatch):
    monkeypatch.setattr("cliptune.selection.select.choose", lambda correct: Choice("coop", "coop", {"zeroshot": 0.01}))
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "best", Ticking(interrupt_at=20))  # 16 steps in folds, and 4 of the last 6
    assert (tmp_path / "best" / "resume.safetensors").is_file()
    clock = Ticking()
    found = start(tmp_path / "best", clock)
    assert clock.steps == 3 and found.winner == "coop" and not (tmp_path / "best" / "resume.safetensors").exists()


def test_a_finished_call_trains_nothing(start, whole, monkeypatch, photos):
    monkeypatch.setattr(compare.experiment, "train_stages", None)
    clock = Ticking()
    found = start(whole.run.folder, clock)
    assert clock.steps == 0 and found.rows == whole.rows and found.run.result.metrics == whole.run.result.metrics


def test_the_time_limit_leaves_methods_out_and_a_longer_one_adds_them(start, tmp_path):
    found = start(tmp_path / "best", limit=14.0, names=("zeroshot", "coop", "linear_probe"), epochs=4)
    assert [row["method"] for row in found.rows if row["finished"]] == ["zeroshot"]
    left_out = next(note for note in found.notes if note.startswith("left out by the time limit of 14s"))
    assert "coop" in left_out and "linear_probe" in left_out and "would suffice" in left_out
    assert found.winner == "zeroshot" and not (tmp_path / "best" / "candidates" / "coop" / "fold1.json").exists()
    again = start(tmp_path / "best", names=("zeroshot", "coop", "linear_probe"), epochs=4)
    assert all(row["finished"] for row in again.rows)
    assert ct.load(tmp_path / "best").run == again.run.run


def test_a_method_that_cannot_be_used_is_left_out_with_the_reason(start, tmp_path, monkeypatch):
    train = compare.experiment.train_stages

    def refuse(run, *arguments):
        if type(run.method).__name__ == "CoOp":
            raise ct.UserError("the prompt is too long")
        return train(run, *arguments)

    monkeypatch.setattr(compare.experiment, "train_stages", refuse)
    found = start(tmp_path / "best")
    assert any("coop cannot be used here: the prompt is too long" in note for note in found.notes)
    assert {row["method"] for row in found.rows if row["finished"]} == {"zeroshot", "linear_probe"}


@pytest.mark.parametrize("limit", [0.0, float("inf")])
def test_a_method_that_does_not_fit_the_backbone_is_left_out(start, tmp_path, monkeypatch, limit):
    for module in ("experiment", "selection.compare", "selection.select"):
        monkeypatch.setattr(f"cliptune.{module}.cached_backbone", lambda *_: tiny_clips.backbone("resnet"))
    found = start(tmp_path / "best", limit=limit, names=("zeroshot", "maple"))
    assert [row["finished"] for row in found.rows] == [True, False]
    assert any(note.startswith("maple cannot be used here: ") for note in found.notes)
    assert not any("time limit" in note for note in found.notes)


def test_single_images_leave_zero_shot(start, tmp_path):
    write_images(tmp_path / "data" / "test", each=3)
    for name in ("cat", "horse", "pig"):
        home = tmp_path / "data" / "train" / name
        home.mkdir(parents=True)
        (tmp_path / "data" / "test" / name / "0.png").rename(home / "0.png")
    found = start(tmp_path / "best", data=tmp_path / "data")
    assert found.winner == "zeroshot" and "cliptune train METHOD" in found.reason
    assert len(found.rows) == 1 and found.rows[0]["images"] == 3


def test_nothing_is_written_without_a_folder(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start(None, names=("zeroshot",)).run.folder is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"folds": 3}, {"lr": 0.5}, {"names": ("zeroshot", "coop"), "n_ctx": 3}])
def test_other_settings_in_the_same_folder_are_refused(start, whole, change):
    with pytest.raises(ct.UserError, match="--out"):
        start(whole.run.folder, **change)


def test_settings_of_a_method_that_was_not_begun_may_change(start, tmp_path):
    start(tmp_path / "best", limit=0.0, names=("zeroshot", "coop"))
    found = start(tmp_path / "best", names=("zeroshot", "coop"), n_ctx=3)
    assert all(row["finished"] for row in found.rows)


def test_nothing_is_written_if_the_backbone_cannot_be_loaded(photos, tmp_path):
    (tmp_path / "damaged.pt").write_bytes(b"no weights")
    with pytest.warns(match="maple.dapt keeps the best epoch"), pytest.raises(ct.UserError, match="damaged.pt"):
        ct.auto(
            f"folder:{photos}", out=tmp_path / "never", backbone="ViT-B-32", pretrained=str(tmp_path / "damaged.pt")
        )
    assert not (tmp_path / "never").exists()


def test_damaged_files_are_named(start, whole, tmp_path):
    shutil.copytree(whole.run.folder, tmp_path / "best")
    fold = tmp_path / "best" / "candidates" / "coop" / "fold1.json"
    for content, words in (
        ("{}", "damaged"),
        ('{"predicted": {"x": 1}, "seconds": 1, "parameters": 1}', "other images"),
    ):
        fold.write_text(content)
        with pytest.raises(ct.UserError, match=f"fold1.json.*{words}.*remove it"):
            start(tmp_path / "best")


def test_the_run_of_another_command_is_refused(start, photos, tmp_path):
    ct.train("zeroshot", data=f"folder:{photos}", shots=2, backbone="tiny", out=tmp_path)
    with pytest.raises(ct.UserError, match="another command"):
        start(tmp_path)


@pytest.mark.parametrize(
    "options,words",
    [
        ({"keep": "best", "methods": ["coop"]}, "coop trains or chooses with validation images"),
        ({"methods": ["tip_adapter"], "search": True}, "leave it out of methods"),
        ({"protocol": "base_to_novel"}, "few_shot"),
        ({"devices": 2}, "devices=2"),
        ({"fraction": 0.5}, "shots"),
        ({"methods": ["coop", "coop"]}, "twice"),
        ({"n_ctxx": 3}, "n_ctx"),
        ({"methods": ["maple", "coop"], "depth": 0}, "depth"),
        ({"shots": -1}, "shots"),
        ({"methods": ["coop"], "folds": 1}, "folds must be an integer of at least 2, got 1"),
        ({"methods": ["coop"], "scored_on": "test"}, "scored_on must be auto, validation, folds, got 'test'"),
        ({"time_limit": "soon"}, "10m"),
        ({"methods": ["cop"]}, "coop"),
    ],
)
def test_refusals(photos, tmp_path, options, words):
    with pytest.raises(ct.UserError, match=words):
        ct.auto(f"folder:{photos}", out=tmp_path / "never", **options)
    assert not (tmp_path / "never").exists()


def test_torch_datasets(tmp_path):
    data = LabeledImages()
    found = ct.auto(data, out=tmp_path / "best", methods=["linear_probe"], folds=2, backbone="tiny", **QUICK)
    assert len(found.rows) == 2 and found.run.evaluate() == found.run.result.metrics


def test_images_pass_through_the_frozen_tower_once(start, tmp_path, forgotten_features, monkeypatch):
    seen, encode = [], Backbone._encode_frozen
    monkeypatch.setattr(Backbone, "_encode_frozen", lambda self, x, **k: (seen.append(len(x)), encode(self, x, **k))[1])
    monkeypatch.setattr("cliptune.selection.select.train_winner", lambda run, *_: ct.Tuned)
    start(tmp_path / "best", names=(*METHODS, "taskres"))
    assert sum(seen) == 18
