"""Commands that succeed: train, evaluate, predict, run, report."""

import json
import re

import pytest

from cliptune.commands.train import preset_run
from cliptune.results import store
from tiny_tasks import BRIEFLY, write_images


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Four classes, which can be halved."""
    return write_images(tmp_path_factory.mktemp("four") / "photos", classes=("cat", "horse", "pig", "mouse"), each=6)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, photos):
    from cliptune import train

    folder = tmp_path_factory.mktemp("run")
    train("coop", data=f"folder:{photos}", shots=2, epochs=1, out=folder)
    return folder


def test_train_writes_to_the_output_folder_and_prints_accuracy(cli, tmp_path, photos):
    output = cli("train", "maple", "--data", f"folder:{photos}", *BRIEFLY, "--seed", 3, "--out", tmp_path / "a" / "b")
    assert output.code == 0 and re.fullmatch(r"test +\d+\.\d\d %\n", output.out)
    assert f"saved in {tmp_path}/a/b" in output.err and "Traceback" not in output.err
    result = store.load_result(tmp_path / "a" / "b" / "result.json")
    assert (result.method, result.seed, result.config["shots"], len(result.history)) == ("maple", 3, 2, 1)


@pytest.mark.parametrize("spelling", ["--n-ctx", "--n_ctx", "--method.n-ctx"])
def test_short_and_long_flags_mean_the_same(cli, tmp_path, photos, spelling):
    result = cli(
        "train", "coop", "--data", f"folder:{photos}", *BRIEFLY, spelling, 3, "--words=", "--out", tmp_path / "r"
    )
    assert result.code == 0, result.err
    config = store.load_result(tmp_path / "r" / "result.json").config
    assert config["method"]["n_ctx"] == 3 and config["method"]["words"] == "" and config["training"]["epochs"] == 1


def test_masks_and_tensorboard(cli, tmp_path, photos):
    data = ("--data", f"folder:{photos}", *BRIEFLY)
    result = cli(
        "train",
        "maple+dapt",
        *data,
        "--masks-from",
        f"folder:{photos.parent / 'masks'}",
        "--tensorboard",
        "--out",
        tmp_path / "r",
    )
    assert result.code == 0 and "note:" not in result.err
    assert len(list((tmp_path / "r" / "tensorboard").iterdir())) == 1
    assert "pull_push" in store.load_result(tmp_path / "r" / "result.json").history[0]


def test_the_use_of_grad_cam_for_images_without_masks_is_reported(cli, tmp_path, photos):
    result = cli("train", "maple+dapt", "--data", f"folder:{photos}", *BRIEFLY, "--out", tmp_path / "r")
    assert result.code == 0
    assert (
        "note: the images have no masks of their own: foregrounds come from Grad-CAM of the model being tuned\n"
        in result.err
    )


def test_repeating_a_command_gives_the_same_bytes(cli, tmp_path, photos):
    command = ("train", "coop", "--data", f"folder:{photos}", *BRIEFLY, "--out", tmp_path / "r")
    first = cli(*command)
    before = (tmp_path / "r" / "checkpoint.safetensors").read_bytes()
    assert cli(*command).out == first.out and (tmp_path / "r" / "checkpoint.safetensors").read_bytes() == before


def test_plain_defaults_instead_of_the_preset():
    preset, plain = (preset_run("maple", ["--preset", which, "--backbone", "ViT-B-16"]) for which in ("auto", "none"))
    assert preset.training.lr == 0.0035 and plain.training.lr == 0.002
    assert preset.backbone == plain.backbone == "ViT-B-16"


def test_the_preset_depends_on_shots_and_protocol():
    assert preset_run("coop", ["--backbone", "ViT-B-16", "--shots", "1"]).training.epochs == 50
    assert preset_run("coop", ["--protocol=base-to-novel", "--backbone=ViT-B-16"]).method.words == "a photo of a"


def test_evaluate(cli, run_folder, tmp_path):
    result = cli("evaluate", run_folder)
    stored = store.load_result(run_folder / "result.json").metrics["test"]
    assert result.code == 0 and result.err == "" and result.out == f"test  {stored:6.2f} %\n"
    other = write_images(tmp_path / "others", classes=("bear", "mouse"), each=4)
    result = cli("evaluate", run_folder, "--data", f"folder:{other}")
    assert result.code == 0 and result.out.startswith("test ")


def test_predict(cli, run_folder, photos):
    images = [photos / "cat" / "0.png", photos / "pig" / "1.png"]
    result = cli("predict", run_folder, *images)
    assert result.code == 0 and result.err == ""
    for line, image in zip(result.out.splitlines(), images, strict=True):
        assert line.startswith(f"{image}  ")
        shares = [float(p) for p in re.findall(r"(\d+\.\d) %", line)]
        assert (
            len(shares) == 3 and shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100, abs=0.2)
        )


def test_predict_in_json_one_class_and_whole_folders(cli, run_folder, photos):
    result = cli("predict", run_folder, photos / "cat", "--json", "--top-k", 1)
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [row["picture"] for row in rows] == sorted(str(p) for p in (photos / "cat").iterdir())
    assert all(len(row["classes"]) == 1 and set(row["classes"][0]) == {"name", "probability"} for row in rows)


def test_predict_with_other_classes(cli, run_folder, photos):
    result = cli("predict", run_folder, photos / "cat" / "0.png", "--classes", "mouse", "sled dog")
    assert result.code == 0 and set(re.findall(r"  ([a-z ]+) \d", result.out)) == {"mouse", "sled dog"}


def test_run_and_report(cli, tmp_path, four):
    command = (
        "run",
        "base-to-novel",
        "--methods",
        "zeroshot",
        "coop",
        "--data",
        f"folder:{four}",
        *BRIEFLY,
        "--seeds",
        1,
        2,
        "--out",
        tmp_path / "s",
    )
    result = cli(*command)
    assert result.code == 0, result.err
    assert all(word in result.out for word in ("zeroshot", "coop", "base", "novel"))
    assert sorted(p.parent.relative_to(tmp_path / "s").as_posix() for p in (tmp_path / "s").rglob("result.json")) == [
        "coop/seed1",
        "coop/seed2",
        "zeroshot/seed1",
        "zeroshot/seed2",
    ]
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*.*")}
    assert cli(*command).out == result.out
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*.*")} == times, "done is done"

    result = cli("report", tmp_path / "s", "--pictures", 2)
    assert result.code == 0 and "coop" in result.out, result.err
    page = (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert "coop" in page and "data:image" in page and 'src="http' not in page
    result = cli("report", tmp_path / "s", "--pictures", 0, "--out", tmp_path / "small.html")
    assert result.code == 0 and (tmp_path / "small.html").stat().st_size < len(page)


@pytest.mark.parametrize("others", [(), ("zeroshot", "tip_adapter")], ids=["alone", "among others"])
def test_unsupported_classes_are_shown_as_a_dash(cli, tmp_path, four, photos, others, monkeypatch):
    out, data = tmp_path / "s", ("--data", f"folder:{four}", *BRIEFLY)
    result = cli("run", "base-to-novel", "--methods", *others, "linear_probe", *data, "--seeds", 1, "--out", out)
    assert result.code == 0 and "not tested on novel: LinearProbe" in result.err, result.err
    assert set(store.load_result(out / "linear_probe" / "seed1" / "result.json").metrics) == {"base"}
    if others:
        row = next(line for line in result.out.splitlines() if "linear_probe" in line)
        assert row.split()[2:] == ["–", "–"], "novel and the harmonic mean"
    result = cli("report", out, "--pictures", 2)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert result.code == 0 and "linear_probe" in page and ("–" in page or not others), result.err
    monkeypatch.setattr(
        "cliptune.report.collect.panels.PREFERRED_TEST_SETS", ("novel",)
    )  # images of unsupported classes
    assert cli("report", out, "--pictures", 2).code == 0
    result = cli("evaluate", out / "linear_probe" / "seed1", "--data", f"folder:{photos}")
    assert result.code == 2 and "has trainable parameters per class" in result.err
