"""The search: trials on validation images, the same after an interruption, and the files about it."""

import csv
import math

import pytest
import yaml

import cliptune as ct
from cliptune.tuning.search import Search
from cliptune.tuning.study import quiet_optuna

SPACE = {"lr": "log:0.001:1", "n_ctx": "2,3"}
OPTIONS = {"shots": 2, "epochs": 8, "min_steps": 0, "words": "", "n_ctx": 2, "batch_size": 6, "seed": 2}
OPTIONS |= {"scored_on": "validation"}

pytestmark = pytest.mark.filterwarnings("ignore:.*images are few")


def tune(photos, out, trials=12, **options):
    return ct.tune("coop", f"folder:{photos}", space=SPACE, trials=trials, out=out, **{**OPTIONS, **options})


@pytest.fixture(scope="module")
def found(tmp_path_factory, photos):
    lines = []
    out = tmp_path_factory.mktemp("search") / "out"
    return tune(photos, out, report=lines.append), lines


def rows_of(result):
    return [(row.number, row.state, row.accuracy, dict(row.settings)) for row in result.rows]


def test_the_first_trial_has_the_preset_and_the_best_is_chosen(found):
    result, lines = found
    assert len(result.rows) == len(lines) == 12 and lines[0].startswith("trial 0 (1 of 12): ")
    assert result.default.settings == {"lr": 0.1, "n_ctx": 2} and result.default.number == 0
    assert result.accuracy == max(row.accuracy for row in result.rows if row.state == "complete")
    assert result.run.training.lr == result.settings["lr"] and result.run.method.n_ctx == result.settings["n_ctx"]
    assert sum(result.count(state) for state in ("complete", "pruned", "failed")) == 12 and result.images == 6


def test_the_files(found, photos):
    result, _ = found
    with open(result.out / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["lr"] for row in rows] == [str(row.settings["lr"]) for row in result.rows]
    assert [row["default"] for row in rows] == ["True", *["False"] * 11]
    assert len(result.trials) == 12
    page = (result.out / "report.html").read_text()
    assert "The best of 12 accuracies is optimistic" in page and "6 validation images" in page
    enough = result.count("complete") >= 10
    assert bool(result.importance) == enough and page.count("<svg") == 3 + enough
    again = ct.train("coop", f"folder:{photos}", shots=2, seed=2, preset=str(result.preset)).run
    assert again == result.run
    assert yaml.safe_load(result.preset.read_text())["method"]["name"] == "coop"


def test_an_interrupted_search_gives_the_same_trials(found, photos, tmp_path):
    complete, _ = found
    part = tune(photos, tmp_path / "out", trials=5)
    options = {key: value for key, value in OPTIONS.items() if key != "scored_on"}
    run = ct.train("coop", f"folder:{photos}", **options).run
    search = Search(run, part.space, 12, tmp_path / "out", "validation")
    with quiet_optuna():
        trial, settings = search.open_study().ask(12)  # of a process that was killed
    assert settings == complete.rows[5].settings
    continued = tune(photos, tmp_path / "out")
    assert [row[1:] for row in rows_of(continued)] == [row[1:] for row in rows_of(complete)]
    assert rows_of(tune(photos, tmp_path / "out", trials=3)) == rows_of(continued), "there are enough"


def test_another_search_in_the_same_folder_is_refused(found, photos):
    result, _ = found
    changes = [({"shots": 1}, "with other data"), ({"folds": 3}, "with other images")]
    for change, sentence in (*changes, ({"space": {"lr": "log:0.1:1"}}, "with space ")):
        with pytest.raises(ct.UserError, match=f"{sentence}.*choose another --out"):
            ct.tune("coop", f"folder:{photos}", **{"space": SPACE, "out": result.out, **OPTIONS, **change})
    with pytest.raises(ct.UserError, match="with method coop, not kgcoop"):
        ct.tune("kgcoop", f"folder:{photos}", space={"lr": "log:0.001:1"}, out=result.out)


def test_cross_validation_of_data_without_splits(photos, tmp_path, monkeypatch):
    accuracies = iter([90.0, 80.0, 60.0, 50.0, 100.0, 90.0])
    monkeypatch.setattr("cliptune.tuning.trial.validate", lambda *args: next(accuracies))
    result = tune(photos, tmp_path / "out", trials=3, epochs=1, scored_on="auto")
    assert [row.accuracy for row in result.rows] == [85.0, 55.0, 95.0]
    assert result.split == "2-fold cross-validation over 6 images" and result.images == 6


def test_bad_trials_are_pruned(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("cliptune.tuning.study.RANDOM_TRIALS", 4)
    monkeypatch.setattr("cliptune.tuning.study.TRIALS_BEFORE_PRUNING", 1)
    accuracies = iter([90.0] * 8 + [10.0] * 50)
    monkeypatch.setattr("cliptune.tuning.trial.validate", lambda *args: next(accuracies))
    result = tune(photos, tmp_path / "out", trials=3)
    assert [row.state for row in result.rows] == ["complete", "pruned", "pruned"]
    assert [row.accuracy for row in result.rows] == [90.0, 10.0, 10.0] and result.best.default
    assert "contains these" in (tmp_path / "out" / "report.html").read_text()


def test_a_trial_that_fails_is_reported_and_the_search_goes_on(photos, tmp_path, monkeypatch):
    from cliptune.tuning import trial

    calls = []

    def run_trial(run, *args):
        calls.append(run)
        if len(calls) == 1:
            raise RuntimeError("out of memory")
        return real(run, *args)

    real = trial.run_trial
    monkeypatch.setattr(trial, "run_trial", run_trial)
    result = tune(photos, tmp_path / "out", trials=3, epochs=1)
    assert [row.state for row in result.rows] == ["complete", "failed", "complete"]
    assert (
        result.rows[1].reason == "RuntimeError: out of memory" and len({str(row.settings) for row in result.rows}) == 3
    )


def test_settings_outside_of_the_space_are_the_first_trial_too(photos, tmp_path):
    result = tune(photos, tmp_path / "a?b #1%20", trials=2, n_ctx=5, epochs=1)
    assert (tmp_path / "a?b #1%20" / "study.db").is_file()
    assert result.default.settings["n_ctx"] == 5 and result.default.state == "complete"
    assert result.rows[1].settings["n_ctx"] in (2, 3)


def test_test_images_are_never_read(photos, tmp_path):
    import shutil

    from cliptune.data import sources

    data = shutil.copytree(photos, tmp_path / "photos")
    for example in sources.get(f"folder:{data}").examples("test"):
        example.path.write_bytes(b"no image")
    assert math.isfinite(tune(data, tmp_path / "out", trials=2, epochs=1).accuracy)


def test_other_images_in_the_same_folder_are_refused(photos, tmp_path):
    import shutil

    data = shutil.copytree(photos, tmp_path / "photos")
    options = {"shots": 0, "trials": 2, "scored_on": "validation", "out": tmp_path / "out"}
    ct.tune("tip_adapter", f"folder:{data}", **options)
    (data / "cat" / "0.png").rename(data / "cat" / "other.png")
    with pytest.raises(ct.UserError, match="contains a search with other images; choose another --out"):
        ct.tune("tip_adapter", f"folder:{data}", **options)


def test_methods_without_training(photos, tmp_path):
    result = ct.tune("tip_adapter", f"folder:{photos}", shots=2, trials=3, out=tmp_path / "out")
    assert result.count("complete") == 3 and set(result.settings) == {"alpha", "beta"}


@pytest.mark.slow
def test_several_processes(photos, tmp_path):
    result = tune(photos, tmp_path / "out", trials=6, processes=2)
    assert len(result.rows) == 6 and len({row.settings["lr"] for row in result.rows}) == 6


def test_arguments(photos, tmp_path):
    wrong = {"trials": (1, "at least 2"), "processes": (-1, "at least 0"), "scored_on": ("test", "one of auto")}
    for name, (value, sentence) in wrong.items():
        with pytest.raises(ct.UserError, match=f"{name} must be {sentence}"):
            tune(photos, tmp_path / "out", **{name: value})
    with pytest.raises(ct.UserError, match="devices=2: a trial trains on one device"):
        tune(photos, tmp_path / "out", devices=2)
    assert not (tmp_path / "out").exists()
