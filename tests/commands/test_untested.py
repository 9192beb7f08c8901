"""Classes without test images are reported before training; runs of earlier versions without metrics stay usable."""

import json

import pytest

from folder_datasets import write_class_folders
from tiny_tasks import BRIEFLY


def test_a_class_with_a_single_image_is_named(cli, tmp_path):
    write_class_folders(tmp_path / "p", ant=1, bee=1, cat=4)
    result = cli("train", "coop", "--data", f"folder:{tmp_path / 'p'}", *BRIEFLY, "--out", tmp_path / "r")
    assert result.code == 0
    assert (
        f"2 classes have a single image, used for training and not tested: ant, bee (in folder:{tmp_path}" in result.err
    )


def test_data_without_any_test_image_is_refused_before_training(refused, tmp_path):
    write_class_folders(tmp_path / "p", ant=1, bee=1)
    result = refused("train", "coop", "--data", f"folder:{tmp_path / 'p'}", *BRIEFLY, "--out", tmp_path / "r")
    assert "p has no test images" in result
    assert not (tmp_path / "r").exists()


@pytest.fixture
def old_run(cli, tmp_path):
    """A run without metrics, as earlier versions wrote it if there were no test images."""
    run, data = tmp_path / "r", f"folder:{write_class_folders(tmp_path / 'p', ant=2, bee=2)}"
    assert cli("train", "coop", "--data", data, *BRIEFLY, "--out", run).code == 0
    for name in ("ant", "bee"):
        (tmp_path / "p" / name / "1.png").unlink()
    record = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**record, "metrics": {}}))
    return run


def test_an_old_run_without_metrics(cli, refused, old_run):
    result = cli("results", "table", old_run)
    assert result.code == 0 and "1 of 1 runs have no test images" in " ".join(result.out.split())
    result = cli("report", old_run)
    assert result.code == 0 and "p has no test images, so checkpoints" in (old_run / "report.html").read_text()
    for command in ("evaluate", "background"):
        assert "p has no test images; " in refused(command, old_run)
