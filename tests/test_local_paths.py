"""Moved runs, and commands started in another folder, find data and weights."""

import json
import shutil

import pytest

import cliptune as ct
from cliptune import config, local_paths, presets
from cliptune.engine import checkpoint
from tiny_tasks import BRIEFLY, write_images


@pytest.fixture
def project(tmp_path, cli, monkeypatch):
    """A folder with photos and a run on them, both given by relative paths."""
    home = tmp_path / "project"
    write_images(home / "photos", each=4)
    monkeypatch.chdir(home)
    assert cli("train", "coop", "--data", "folder:photos", *BRIEFLY, "--out", "runs/one").code == 0
    return home


def test_the_record_and_the_checkpoint_store_both_paths(project):
    expected = {"photos": [str(project / "photos"), "../../photos"]}
    record = json.loads((project / "runs/one/result.json").read_text())
    assert record["provenance"]["places"] == expected and record["config"]["data"] == "folder:photos"
    assert checkpoint.read_checkpoint(project / "runs/one/checkpoint.safetensors")[1]["places"] == expected
    assert config.from_dict(record["config"]).data == "folder:photos"


@pytest.mark.parametrize("move", ["nothing", "both", "data beside what was"])
def test_a_run_finds_its_data_from_anywhere(project, tmp_path, monkeypatch, move):
    before = json.loads((project / "runs/one/result.json").read_text())["metrics"]
    if move == "both":
        project = project.rename(tmp_path / "elsewhere")
    (tmp_path / "far").mkdir()
    write_images(tmp_path / "far" / "photos", classes=("mouse", "bear"), each=4)  # other images of the same name
    monkeypatch.chdir(tmp_path / "far")
    run = ct.load(project / "runs" / "one")
    assert run.evaluate() == before == run.result.metrics
    assert run.run.data == f"folder:{project / 'photos'}"


@pytest.mark.parametrize("command", ["evaluate", "report", "background"])
def test_commands_find_the_data_from_anywhere(project, tmp_path, monkeypatch, cli, command):
    monkeypatch.chdir(tmp_path)
    masks = ("--masks-from", "grid") if command == "background" else ()
    result = cli(command, project / "runs" / "one", *masks)
    assert result.code == 0


@pytest.mark.parametrize("command", ["evaluate", "report", "background"])
def test_missing_data_is_reported_with_every_path_tried(project, tmp_path, monkeypatch, cli, command):
    moved = tmp_path / "moved" / "to" / "run"
    shutil.copytree(project / "runs" / "one", moved)
    shutil.rmtree(project / "photos")
    monkeypatch.chdir(tmp_path)
    result = cli(command, moved)
    assert result.code == 2 and "Traceback" not in result.err
    for place in (project / "photos", tmp_path / "moved" / "photos", tmp_path / "photos"):
        assert str(place) in result.err
    assert ct.load(moved).classnames == ("cat", "horse", "pig")


def test_an_unambiguous_path_is_stored_unchanged(project):
    assert ct.load("runs/one").run.data == "folder:photos"


def test_a_checkpoint_alone_has_no_record(project, tmp_path):
    shutil.copy(project / "runs/one/checkpoint.safetensors", tmp_path / "x.safetensors")
    assert ct.load(tmp_path / "x.safetensors").result is None
    assert ct.load(project / "runs/one/checkpoint.safetensors").result.data == "folder:photos"


def test_runs_of_earlier_versions_keep_working(project):
    path = project / "runs/one/checkpoint.safetensors"
    tensors, about = checkpoint.read_checkpoint(path)
    del about["places"]
    checkpoint.write_checkpoint(path, tensors, about)
    assert ct.load("runs/one").evaluate() == ct.load("runs/one").result.metrics


def test_every_path_of_a_run_is_recorded(tmp_path, monkeypatch):
    home, far = tmp_path / "a", tmp_path / "b"
    for name in ("photos,2", "masks", "data", "clip"):
        (home / name).mkdir(parents=True)
    for name in ("weights.pt", "t.csv"):
        (home / name).touch()
    options = {"backbone": "clip", "pretrained": "weights.pt", "targets": ("csv:t.csv", "dtd")}
    run = presets.get("coop+dapt", "none", data="folder:photos,2", **options)
    run = config.with_options(run, {"masks_from": "folder:masks,values=grey", "root": "data"})
    monkeypatch.chdir(home)
    expected = local_paths.record_paths(run, home / "run")
    assert expected["t.csv"] == [str(home / "t.csv"), "../t.csv"] and len(expected) == 6
    home = home.rename(far)
    monkeypatch.chdir(tmp_path)
    moved = local_paths.relocate_paths(run, expected, far / "run")
    assert moved.data == f"folder:{far}/photos,2" and moved.method.masks_from == f"folder:{far}/masks,values=grey"
    assert (moved.backbone, moved.pretrained) == (str(far / "clip"), str(far / "weights.pt"))
    assert moved.targets == (f"csv:{far}/t.csv", "dtd") and moved.reading.root == str(far / "data")
    assert local_paths.relocate_paths(run, {"photos,2": "no list", "t.csv": [3]}, far) == run, (
        "headers of others are not believed"
    )


def test_missing_weights_are_one_sentence(project, tmp_path):
    path = project / "runs/one/checkpoint.safetensors"
    tensors, about = checkpoint.read_checkpoint(path)
    about["config"]["backbone"] = "my.safetensors"
    about["places"]["my.safetensors"] = [str(tmp_path / "my.safetensors"), "../my.safetensors"]
    checkpoint.write_checkpoint(path, tensors, about)
    with pytest.raises(ct.UserError, match=f"looked for {tmp_path}/my.safetensors and {project}/runs/my.safetensors"):
        ct.load(path)


def test_runs_of_earlier_versions_keep_their_class_names(tmp_path):
    """Newer versions replace WordNet ids by words."""
    root = write_images(tmp_path / "photos", each=4)
    for name, wnid in zip(("cat", "horse", "pig"), ("n02123045", "n02389026", "n02395406"), strict=True):
        (root / name).rename(root / wnid)
    with pytest.warns(UserWarning):
        old = ct.train("coop", data=f"folder:{root}", shots=1, epochs=1, raw_names=True, out=tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    tensors, about = checkpoint.read_checkpoint(path)
    del about["config"]["reading"]
    checkpoint.write_checkpoint(path, tensors, about)
    with pytest.warns(UserWarning):
        assert ct.load(tmp_path / "run").evaluate() == old.result.metrics


def test_a_teacher_moves_with_the_run(tmp_path, monkeypatch):
    (tmp_path / "old" / "teacher").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "old")
    run = presets.get("promptkd+dapt")
    run = config.with_options(run, {"teacher": "teacher"})
    places = local_paths.record_paths(run, tmp_path / "old" / "runs" / "one")
    assert places["teacher"] == [str(tmp_path / "old" / "teacher"), "../../teacher"]
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path)
    moved = local_paths.relocate_paths(run, places, tmp_path / "new" / "runs" / "one")
    assert moved.method.teacher_source() == str(tmp_path / "new" / "teacher")
    named = config.with_options(run, {"teacher": "ViT-L-14/openai"})
    assert local_paths.relocate_paths(named, places, tmp_path) == named
