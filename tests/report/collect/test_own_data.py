"""Mistakes, wrong labels, duplicates and calibration of a user's own images in the report."""

import json
import shutil
import warnings

import pytest

import cliptune as ct
from cliptune.report.collect.models import restore_models
from cliptune.report.collect.own_data import collect_own_data
from cliptune.run_dir import CALIBRATION


@pytest.fixture(scope="module")
def root(tmp_path_factory, photos):
    """A run on the photos, one of which has a copy in another class."""
    root = tmp_path_factory.mktemp("own")
    shutil.copytree(photos, root / "photos")
    shutil.copy(root / "photos/cat/1.png", root / "photos/horse/copy.png")
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # about the copy
        ct.train("coop", data=f"folder:{root / 'photos'}", shots=1, epochs=1, n_ctx=2, out=root / "runs" / "coop")
    return root


def collected(root):
    folders = {"coop": root / "runs" / "coop"}
    return collect_own_data(restore_models(folders), folders)


def test_findings(root):
    found = collected(root)
    run = ct.load(root / "runs" / "coop")
    table = run.inspect().splits[0]
    assert found.method == "coop" and found.split == "test" and found.images == len(table.paths)
    assert found.wrong == len(table.paths) - int(table.correct.sum()) and len(found.mistakes) == found.wrong
    assert all(card.jpeg[:2] == b"\xff\xd8" and str(root) in card.path for card in found.mistakes)
    assert found.groups == 1 and found.duplicates[0].title.startswith("exact duplicates, several classes")
    assert [card.path for card in found.duplicates[0].cards] == [
        str(root / "photos/cat/1.png"),
        str(root / "photos/horse/copy.png"),
    ]
    assert found.judges == "2 models judged 22 images that none was trained on"
    assert set(found.calibration) == {"zero-shot", "coop"} and found.temperatures == {} and found.notes == []


def test_a_stored_temperature_is_used_and_a_damaged_one_named(root):
    file = root / "runs" / "coop" / CALIBRATION
    from cliptune.calibration import FittedTemperature, write_temperature

    write_temperature(file.parent, FittedTemperature(2.0, (1.0, 4.0), 6, (1.0, 0.9)))
    found = collected(root)
    plain, scaled = found.calibration["coop"]
    assert found.temperatures == {"coop": 2.0} and scaled is not None and scaled.confidence < plain.confidence
    file.write_text(json.dumps({}))
    assert any("temperature of coop was not used" in note for note in collected(root).notes)
    file.unlink()


def test_the_page_shows_them(cli, root):
    result = cli("report", root / "runs", "--pictures", 1)
    assert result.code == 0, result.err
    page = (root / "runs" / "report.html").read_text(encoding="utf-8")
    for words in ("Surest mistakes", "Calibration", "Likely mislabelled images", "Duplicates", "horse/copy.png"):
        assert words in page


def test_generated_images_are_no_own_data(tmp_path):
    data = "emoji:classes=validation,test_per_class=1,train_per_class=2"
    ct.train("zeroshot", data=data, shots=1, out=tmp_path / "run")
    folders = {"zeroshot": tmp_path / "run"}
    assert collect_own_data(restore_models(folders), folders) is None
