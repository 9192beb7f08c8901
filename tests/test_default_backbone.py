"""The backbone of a run that names none: the bundled one for the kind of its images."""

import warnings

import pytest

import cliptune as ct
from bundled_backbones import add_backbone
from cliptune import config, methods, presets
from cliptune.backbones.bundled import choose_backbone
from cliptune.commands import planning
from cliptune.commands.sweep_options import Sweep
from cliptune.data.emoji.dataset import Emoji
from cliptune.errors import UserError
from tiny_tasks import BRIEFLY

FEW = pytest.mark.filterwarnings("ignore:backbone 'sketch' was not trained on", "ignore:class .* has .* images")


@pytest.fixture(autouse=True)
def sketch(tmp_path, monkeypatch):
    """A bundled backbone for photographs."""
    add_backbone(monkeypatch, tmp_path / "package", "sketch", "photographs")


def warned(call):
    """The warnings of a call about bundled backbones, and its result."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        result = call()
    return [str(w.message) for w in found if "the bundled" in str(w.message)], result


@pytest.mark.parametrize(
    "data, expected",
    [
        ("emoji", "tiny"),
        ("emoji:rho=0.5", "tiny"),
        ("folder:photos", "sketch"),
        ("csv:table.csv", "sketch"),
        ("oxford_pets", "sketch"),
        ("python:Digits@0123456789ab", "sketch"),
        ("no such data", "sketch"),
    ],
)
def test_the_kind_of_the_images_decides(data, expected):
    run = config.RunConfig(methods.get("coop")(), data=data)
    assert run.backbone == config.to_dict(run)["backbone"] == expected
    assert presets.get("maple", data=data) == presets.get("maple", data=data, backbone=expected)


def test_a_named_backbone_stays():
    named = config.RunConfig(methods.get("coop")(), data="folder:photos", backbone="tiny")
    again = config.from_dict(config.to_dict(named))
    assert named.backbone == again.backbone == "tiny" and config.fingerprint(named) == config.fingerprint(again)
    assert choose_backbone("ViT-B-16", "photographs") == "ViT-B-16"
    assert choose_backbone("auto", "sculptures") == "tiny", "no backbone for them"


@FEW
def test_training_on_photographs(tmp_path, photos):
    """One line about a better backbone before training, none in evaluation; the checkpoint names the backbone."""
    notes, run = warned(lambda: ct.train("zeroshot", f"folder:{photos}", shots=1, out=tmp_path / "run"))
    (note,) = notes
    assert "the bundled sketch backbone is small" in note and "--backbone ViT-B-16 --pretrained openai" in note
    assert run.result.config["backbone"] == run.model.backbone.name == "sketch"
    loaded = ct.load(tmp_path / "run")
    assert loaded.run.backbone == loaded.model.backbone.name == "sketch"
    assert warned(loaded.evaluate)[0] == warned(lambda: loaded.predict([str(photos / "cat" / "0.png")]))[0] == []


@FEW
def test_other_images_than_those_of_pretraining(photos):
    drawings = Emoji(test_per_class=1, train_per_class=1)
    assert warned(lambda: ct.train("zeroshot", drawings))[0] == [], "the default for drawings, also as an object"
    (note,), _ = warned(lambda: ct.train("zeroshot", drawings, backbone="sketch"))
    assert "sketch backbone knows photographs only" in note and "use --backbone tiny or --backbone ViT-B-16" in note
    (note,), _ = warned(lambda: ct.train("zeroshot", f"folder:{photos}", shots=1, backbone="tiny"))
    assert "tiny backbone knows drawings only" in note and "use --backbone sketch or --backbone ViT-B-16" in note


def test_a_sweep_chooses_for_each_dataset(tmp_path, photos):
    options = Sweep(methods=("coop",), data=("emoji", f"folder:{photos}"), seeds=(1,), out=tmp_path / "sweep")
    jobs = planning.plan_runs("few-shot", options)
    assert {job.run.data.partition(":")[0]: job.run.backbone for job in jobs} == {"emoji": "tiny", "folder": "sketch"}
    with pytest.raises(UserError, match="--pretrained openai is for the name of an architecture"):
        planning.plan_runs("few-shot", Sweep(methods=("coop",), pretrained="openai", out=tmp_path / "sweep"))


def test_a_backbone_may_have_its_own_presets(monkeypatch):
    files, own = presets.files, presets._read
    monkeypatch.setattr(presets, "files", lambda part: [*files(part), *["sketch"] * (part == "coop")])
    read = {"training": {"lr": 0.5}, "around": {}}
    monkeypatch.setattr(presets, "_read", lambda part, which, run: read if which == "sketch" else own(part, which, run))
    assert presets.get("coop", data="folder:photos").training.lr == 0.5
    assert presets.get("maple", data="folder:photos").training == presets.get("maple").training


@FEW
def test_commands(cli, tmp_path, photos):
    data = ("--data", f"folder:{photos}")
    trained = cli("train", "coop", *data, *BRIEFLY, "--out", tmp_path / "run")
    assert trained.code == 0 and trained.err.count("the bundled sketch backbone is small") == 1
    assert "backbone: sketch" in (tmp_path / "run" / "config.yaml").read_text()
    assert f"on data folder:{photos}, backbone sketch" in " ".join(cli("train", "coop", *data, "--help").out.split())
    shown = cli("data", "show", f"folder:{photos}", "--masks-from", "gradcam", "--out", tmp_path / "shown.png")
    assert shown.code == 0 and shown.err.count("the bundled sketch backbone is small") == 1
    checked = cli("masks", "check", "gradcam", *data)
    assert checked.err.count("the bundled sketch backbone is small") == 1
    assert "trained on photographs" in cli("list", "backbones").out
