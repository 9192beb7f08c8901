"""Predictions for the images of runs: test sets of each kind, all images, other data, moved data."""

import shutil

import pytest

import cliptune as ct
from cliptune.results.row_tables import RowTable
from tiny_tasks import write_images

CLASSES = ("cat", "horse", "pig")


@pytest.fixture(autouse=True)
def plain_tables(monkeypatch):
    """Tables as without pandas."""
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)


@pytest.fixture(scope="module")
def run(photos):
    return ct.train("coop", data=f"folder:{photos}", shots=2, epochs=1, n_ctx=2)


def test_predictions_agree_with_evaluate_and_predict(run, photos):
    table = run.predictions()
    assert isinstance(table, RowTable) and set(table["split"]) == {"test"}
    assert sum(table["correct"]) / len(table) * 100 == pytest.approx(run.evaluate()["test"])
    found = run.predict(table["path"])
    assert [name for name, _ in found] == table["predicted"]
    assert [p for _, p in found] == pytest.approx(table["predicted_probability"], abs=1e-4)
    assert all(f"/{row['true']}/" in row["path"] for row in table)


def test_all_images_of_the_data_once(run, photos):
    table = run.predictions(all_images=True)
    assert sorted(table["path"]) == sorted(map(str, photos.rglob("*.png")))
    assert {split: table["split"].count(split) for split in set(table["split"])} == {
        "test": 6,
        "train": 6,
        "val": 6,
        "unused": 6,
    }
    inspection = run.inspect(all_images=True)
    assert set(inspection.metrics) == {"test", "train", "val", "unused"}
    assert [row["images"] for row in inspection.classes()] == [2] * 12


def test_tables_of_an_inspection(run):
    inspection = run.inspect()
    wrong = [row for row in inspection.predictions() if not row["correct"]]
    assert sum(inspection.confusions()["count"]) == len(wrong)
    assert [row["path"] for row in inspection.mistakes(2)] == [
        row["path"] for row in sorted(wrong, key=lambda row: -row["predicted_probability"])[:2]
    ]
    (row,) = inspection.calibration()
    assert (
        row["images"] == 6 and row["accuracy"] == pytest.approx(inspection.metrics["test"]) and row["temperature"] == 1
    )


def test_other_data(run, tmp_path):
    write_images(tmp_path / "others", classes=("mouse", "bear"), each=3)
    table = run.predictions(f"folder:{tmp_path / 'others'}")
    assert len(table) == 6 and set(table["true"]) == {"mouse", "bear"}
    with pytest.raises(ct.UserError, match="all_images is for the run's own data"):
        run.inspect(f"folder:{tmp_path / 'others'}", all_images=True)


def test_base_and_novel_classes():
    data = "emoji:classes=validation,test_per_class=1,train_per_class=2"
    run = ct.train("zeroshot", data=data, shots=1, protocol="base_to_novel")
    table = run.predictions()
    assert {"base", "novel"} <= set(table["split"])
    for name in ("base", "novel"):
        rows = [row for row in table if row["split"] == name]
        assert 100 * sum(row["correct"] for row in rows) / len(rows) == pytest.approx(run.evaluate()[name])
    with pytest.raises(ct.UserError, match="not base_to_novel.*leave out"):
        run.inspect(all_images=True)


def test_images_of_a_coreset(photos, tmp_path):
    shown = {"data": f"folder:{photos}", "shots": 0, "epochs": 1, "n_ctx": 2, "protocol": "data_efficient"}
    run = ct.train("coop", **shown, fraction=0.5, out=tmp_path / "run")
    table = ct.load(tmp_path / "run").predictions(all_images=True)
    assert table["split"].count("train") == 6 and table["split"].count("unused") == 6 and len(table) == 24
    (tmp_path / "run" / "coreset.json").unlink()
    with pytest.raises(ct.UserError, match="coreset.json, is missing"):
        ct.load(tmp_path / "run").predictions(all_images=True)
    assert len(run.predictions()) == 6


def test_data_that_moved_with_its_run(photos, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    shutil.copytree(photos, tmp_path / "a" / "photos")
    monkeypatch.chdir(tmp_path / "a")
    ct.train("zeroshot", data="folder:photos", shots=1, out="run")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    table = ct.load("b/run").predictions()
    assert len(table) == 6 and all(str(tmp_path / "b" / "photos") in path for path in table["path"])
    shutil.rmtree(tmp_path / "b" / "photos")
    with pytest.raises(ct.UserError, match="photos"):
        ct.load("b/run").predictions()


def test_a_torch_dataset_has_keys_for_paths(photos):
    from cliptune.data.image_io import read_image

    items = [(read_image(path).image, CLASSES.index(path.parent.name)) for path in sorted(photos.rglob("*.png"))]
    run = ct.train("zeroshot", data=ct.from_torch(items, CLASSES), shots=1)
    table = run.predictions(ct.from_torch(items, CLASSES))
    assert len(table) == 6 and all(path.startswith("train/") for path in table["path"])
    assert len(run.predictions(ct.from_torch(items, CLASSES), all_images=True)) == 24
