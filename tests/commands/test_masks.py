"""`cliptune masks check` from the command line, with its contact sheet."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from cliptune import train


@pytest.fixture
def check(cli, photos):
    def call(spec, *more, data=None):
        return cli("masks", "check", spec, "--data", data or f"folder:{photos}", *more)

    return call


def test_text(check, photos):
    result = check(f"folder:{photos.parent / 'masks'}", "--against", "full")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].endswith("train: 12 of 12 images")
    assert any(line.startswith("foreground   mean ") for line in lines)
    assert sum("█" in line for line in lines) >= 2 and "empty        0" in lines
    assert any(line.startswith("agreement    mean IoU 0.") and line.endswith("with full") for line in lines)


def test_json_and_image(check, photos, tmp_path):
    out = tmp_path / "new" / "sheet.png"
    result = check(f"folder:{photos.parent / 'masks'}", "--format", "json", "--out", out, "--shots", 2)
    content = json.loads(result.out)
    assert content["measured"] == content["pictures"] == 6 == sum(content["foreground"]["histogram"])
    assert set(content["classes"]) == {"cat", "horse", "pig"} and content["agreement"] is None
    image = np.asarray(Image.open(out).convert("RGB"))
    assert image.shape[1] > 700 and len(np.unique(image.reshape(-1, 3), axis=0)) > 1000, "images are drawn"


def test_faults_exit_with_code_1(check, photos, tmp_path):
    masks = tmp_path / "masks"
    (masks / "cat").mkdir(parents=True)
    result = check(f"folder:{masks}", "--out", tmp_path / "s.png")
    assert result.code == 1 and "Traceback" not in result.err
    assert "missing      12: cat/" in result.out and f"has no mask under {masks}; add it" in result.out
    assert (tmp_path / "s.png").is_file()


@pytest.mark.parametrize("source", ["gradcam", "maskclip", "grid", "auto", "alpha"])
def test_every_source_of_drawings(check, source):
    result = check(source, "--shots", 1, "--against", "data", "--format", "json", data="emoji")
    content = json.loads(result.out)
    assert result.code == 0 and len(content["agreement"]["pictures"]) == content["measured"] == 120
    assert content["agreement"]["mean"] == 1 if source in ("auto", "alpha") else 0 < content["agreement"]["mean"] < 0.7


def test_the_model_of_a_run(check, photos, tmp_path):
    train("coop", data=f"folder:{photos}", shots=2, epochs=2, lr=1.0, out=tmp_path / "run")
    untuned, tuned = (
        json.loads(check("maskclip", *more, "--format", "json").out) for more in ((), ("--run", tmp_path / "run"))
    )
    assert untuned["foreground"]["mean"] != tuned["foreground"]["mean"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["masks", "chek"], "masks takes one of check, make, got chek"),
        (["masks", "check"], "a source of masks comes first: cliptune masks check folder:masks"),
        (["masks", "check", "fodler:x"], "unknown mask source 'fodler:x'; known: auto, data, alpha, beside"),
        (["masks", "check", "folder:OUT"], "no mask folder at"),
        (["masks", "check", "full", "--against", "seem:OUT"], "no mask folder at"),
        (["masks", "check", "full", "--out", "OUT/x.jpg"], "the contact sheet is a PNG; use --out"),
        (["masks", "check", "full", "--splt", "val"], "unknown option --splt"),
        (["masks", "check", "gradcam", "--run", "OUT"], "no checkpoint at"),
    ],
)
def test_wrong_input(refused, arguments, message):
    assert message.lower() in refused(*arguments).lower()


def test_help(cli):
    assert "check SOURCE" in cli("masks").out and "make" in cli("masks", "--help").out
    assert "--against" in cli("masks", "check", "--help").out


@pytest.mark.parametrize("values, missing", [((1, 1), "background"), ((0, 0), "foreground")])
def test_uninformative_masks_are_reported(check, photos, tmp_path, values, missing):
    for path in (photos.parent / "masks").rglob("*.png"):
        place = tmp_path / path.relative_to(photos.parent / "masks")
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.resize(np.array(values, np.uint8), (64, 64))).save(place)
    result = check(f"folder:{tmp_path}", "--format", "json")
    content = json.loads(result.out)
    assert result.code == 1 and f"none of the 12 masks has any {missing}" in result.err
    assert sum(content["foreground"]["histogram"]) == 12 and content["foreground"]["mean"] == values[0]


def test_full_masks_are_accepted_on_request(check):
    result = check("full", "--format", "json", data="emoji")
    content = json.loads(result.out)
    assert result.code == 0 and content["foreground"]["histogram"][-1] == content["measured"] == len(content["full"])


def test_one_transparent_image_among_others(cli, photos, cutouts, tmp_path):
    root = shutil.copytree(photos, tmp_path / "photos")
    for name in ("0", "1", "2", "3", "4"):  # whichever image is drawn
        shutil.copy(cutouts / "cat" / f"{name}.png", root / "cat" / f"{name}.png")
    result = cli(
        "train", "maple+dapt", "--data", f"folder:{root}", "--shots", 1, "--epochs", 1, "--out", tmp_path / "run"
    )
    assert result.code == 0, result.err
    assert (
        "1 of 3 training images have a mask of their own (transparency or a mask file), for example cat/" in result.err
    )
    assert "the other 2 come from Grad-CAM" in result.err
