"""`cliptune demo --photos FOLDER`: the demo on the user's images."""

import pytest

from cliptune.commands import demo, demo_photos
from cliptune.commands.demo_photos import MIN_STEPS, open_photos
from cliptune.errors import UserError
from tiny_tasks import write_images

FOUND = "The object on the background of an image of another class."


@pytest.fixture
def brief(monkeypatch):
    """Two methods and few steps."""
    monkeypatch.setattr(demo, "METHODS", ("zeroshot", "maple+dapt"))
    monkeypatch.setattr(demo_photos, "MIN_STEPS", 2)


def test_ten_images_in_two_classes(cli, brief, tmp_path, monkeypatch):
    """Without masks: foregrounds come from Grad-CAM, and nothing is said about swapped backgrounds."""
    photos = write_images(tmp_path / "photos", ("cat", "horse"), each=5)
    monkeypatch.chdir(tmp_path)
    result = cli("demo", "--photos", photos, "--backbone", "tiny")
    assert result.code == 0, result.err
    assert "2 shots" in result.out and FOUND not in result.out and "demo-photos/report.html" in result.out
    assert result.err.count("foregrounds come from Grad-CAM") == 1
    page = (tmp_path / "demo-photos" / "report.html").read_text(encoding="utf-8")
    assert "<h1>cliptune demo: photos</h1>" in page and "4 training images, of which up to 2 per class" in page
    write_images(tmp_path / "photos", ("cat", "horse"), each=6)
    assert "has the results of other images than" in cli("demo", "--photos", photos, "--backbone", "tiny").err


def test_masks_beside_the_images(cli, brief, tmp_path):
    """They train DAPT, and show in a second table how far methods rely on backgrounds."""
    photos = write_images(tmp_path / "photos", each=5, masks=tmp_path / "masks")
    result = cli("demo", "--photos", photos, "--backbone", "tiny", "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert FOUND in result.out and "masks from beside" in result.out and "Grad-CAM of the model" not in result.err
    assert "swapped" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    config = (tmp_path / "out" / "maple+dapt" / "seed1" / "config.yaml").read_text(encoding="utf-8")
    assert "masks_from: beside" in config and "backbone: tiny" in config


def test_shots_and_steps_suit_the_folder(tmp_path):
    photos = write_images(tmp_path / "photos", ("cat", "horse"), each=5)
    few = open_photos(photos, None, "auto")
    assert (few.spec, few.shots, few.masks_from, few.test_masks()) == (f"folder:{photos}", 2, "auto", "")
    run = few.run("maple", "tiny", "")
    assert run.training.min_steps == MIN_STEPS and run.shots == 2 and run.protocol == "few_shot"
    assert few.run("maple+dapt", "tiny", "").method.mask_source() == "auto"
    assert open_photos(photos, 0, "gradcam").run("maple+dapt", "tiny", "").method.mask_source() == "gradcam"


def test_transparent_images_have_masks(tmp_path):
    cutouts = open_photos(write_images(tmp_path / "cutouts", each=5, alpha=True), None, "auto")
    assert cutouts.masks_from == "auto" and cutouts.test_masks() == "data"


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--backbone", "tiny"), "--backbone is for --photos"),
        (("--masks-from", "gradcam"), "--masks-from is for --photos"),
        (("--photos", "nowhere"), "no folder at nowhere"),
        (("--photos", ".", "--backbone", "ViT-B-61"), "nearest: ViT-B-16"),
        (("--photos", ".", "--masks-from", "gradcan"), "unknown mask source 'gradcan'"),
        (("--photos", ".", "--pretrained", "openai"), "is for the name of an architecture"),
    ],
)
def test_mistakes(cli, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    result = cli("demo", *flags)
    assert result.code == 2 and message in result.err and not list(tmp_path.iterdir())


def test_classes_without_images(tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    with pytest.raises(UserError, match="contains no images in class folders"):
        open_photos(tmp_path / "photos", None, "auto")
