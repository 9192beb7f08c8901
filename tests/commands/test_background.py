"""`cliptune background`: the measurement is saved next to the record and shown in the report."""

import json
import shutil

import pytest


@pytest.fixture(scope="module")
def cutout_run(tmp_path_factory, cutouts):
    """A run on images with transparency masks."""
    from cliptune import train

    folder = tmp_path_factory.mktemp("cut") / "run"
    train("coop", data=f"folder:{cutouts}", shots=2, epochs=1, n_ctx=2, out=folder)
    return folder


@pytest.fixture
def run(cutout_run, tmp_path):
    return shutil.copytree(cutout_run, tmp_path / "runs" / "one")


def test_the_measurement_is_saved_next_to_the_record_and_shown_in_the_report(cli, run):
    record = (run / "result.json").read_bytes()
    result = cli("background", run, "--images", 6, "--format", "json")
    assert result.code == 0, result.err
    (content,) = json.loads(result.out)
    assert content["method"] == "coop" and content["test"] == "test" and content["reliance"]["pictures"] == 6
    assert set(content["reliance"]["accuracy"]) == {"original", "mean", "grey", "blurred", "swapped", "background"}
    assert 0 <= content["reliance"]["energy"] <= 100 and 0 < content["reliance"]["area"] < 100
    (path,) = run.glob("background*.json")
    assert json.loads(path.read_text()) == {k: v for k, v in content.items() if k not in ("run", "method")}
    assert (run / "result.json").read_bytes() == record
    again = cli("background", run.parent, "--images", 6, "--format", "json")
    assert json.loads(again.out) == [content], "a folder of runs, the same numbers"
    result = cli("report", run.parent, "--pictures", 1, "--out", run / "page.html")
    page = (run / "page.html").read_text(encoding="utf-8")
    assert result.code == 0, result.err
    for heading in (
        "Reliance on the background",
        "Accuracy per class",
        "Nearest words to the learned context",
        "Example images",
    ):
        assert f">{heading}</h2>" in page, heading
    assert "6 images" in page and "zero-shot" in page


def test_the_default_output_is_a_table(cli, run):
    result = cli("background", run, "--images", 4, "--saliency", "true", "--seed", 2)
    assert result.code == 0 and "coop" in result.out and "saliency of the true class" in result.out, result.err
    assert "saved next to its record as background-" in result.err, "unusual questions have files of their own"


def test_masks_and_images_from_other_folders(cli, run, photos):
    there = ("--data", f"folder:{photos}", "--images", 4)
    masks = ("--masks-from", f"folder:{photos.parent / 'masks'}")
    result = cli("background", run, *there, *masks, "--format", "json")
    assert result.code == 0, result.err
    (content,) = json.loads(result.out)
    assert content["data"] == f"folder:{photos}" and content["masks"].startswith("folder:")
    result = cli("background", run, *there, "--masks-from", "data")
    assert result.code == 2 and "none of 4 images has a usable mask; the first:" in result.err
    assert "has no mask" in result.err and "Traceback" not in result.err
    result = cli("background", run, *there, "--format", "json")
    assert result.code == 0 and json.loads(result.out)[0]["masks"] == "gradcam"
    assert "note: 0 of 4 images have a mask: the others are masked by Grad-CAM" in result.err


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--test", "novel"), "no test set is called 'novel'; there are test"),
        (("--images", 1), "images must be at least 2"),
        (("--masks-from", "seen"), "unknown mask source 'seen'"),
    ],
)
def test_unsupported_requests_are_one_sentence(cli, run, flags, sentence):
    result = cli("background", run, *flags)
    assert result.code == 2 and sentence in result.err, result.err
    assert not list(run.glob("background*.json"))


def test_a_run_is_required(cli, tmp_path):
    result = cli("background", tmp_path)
    assert result.code == 2 and "at or under" in result.err


def test_a_damaged_measurement_is_named(cli, run):
    (run / "background.json").write_text("{}")
    result = cli("report", run.parent, "--pictures", 0)
    assert result.code == 2 and "background.json was not written by cliptune background" in result.err
