"""`cliptune masks make` from the command line, with an external program and with tiny models."""

import itertools
import shlex
import sys
import warnings

import pytest
import torch
from rich.console import Console

from tiny_tasks import write_images

BRIGHT = """
import json, sys
from PIL import Image
for line in open(sys.argv[-1], encoding="utf-8"):
    job = json.loads(line)
    Image.open(job["image"]).convert("L").point(lambda v: 255 * (v > {cut})).save(job["output"])
"""


@pytest.fixture
def bright(tmp_path):
    """The `--with command:...` option for a program that selects pixels brighter than `cut`."""

    def write(cut=128):
        script = tmp_path / "bright.py"
        script.write_text(BRIGHT.format(cut=cut))
        return f"command:{shlex.quote(sys.executable)} {shlex.quote(str(script))}"

    return write


def test_masks_are_written_next_to_the_images_with_a_hint_for_training(cli, bright, tmp_path):
    root = write_images(tmp_path / "photos", each=5)
    asked = ("masks", "make", "--data", f"folder:{root}", "--out", "beside", "--with", bright())
    result = cli(*asked)
    assert result.code == 0, result
    assert result.out == "made 6, kept 0, empty 0, missing 0\n"
    assert f"next: cliptune train maple+dapt --data folder:{root} --masks-from beside" in result.err
    assert len(list((tmp_path / "photos-masks").rglob("*.png"))) == 6
    assert cli(*asked).out == "made 0, kept 6, empty 0, missing 0\n"
    everything = cli(*asked, "--split", "all")
    assert everything.out == "made 9, kept 6, empty 0, missing 0\n"
    out = tmp_path / "run"
    brief = ("--shots", 2, "--epochs", 1, "--out", out)
    for source in ("beside", f"folder:{tmp_path / 'photos-masks'}"):
        trained = cli("train", "coop+dapt", "--data", f"folder:{root}", "--masks-from", source, *brief, "--seed", 1)
        assert trained.code == 0, trained
        for file in out.iterdir():
            file.unlink()


def test_grey_masks_are_described(cli, photos, bright, tmp_path):
    result = cli("masks", "make", "--data", f"folder:{photos}", "--out", tmp_path / "m", "--with", bright(), "--soft")
    assert result.code == 0 and f"--masks-from folder:{tmp_path / 'm'},values=grey" in result.err


def test_empty_masks_are_reported(cli, photos, bright, tmp_path):
    result = cli("masks", "make", "--data", f"folder:{photos}", "--out", tmp_path / "m", "--with", bright(255))
    assert result.code == 0 and "empty 12, missing 0" in result.out
    assert "no foreground in 12 images: cat/" in result.err and "and 7 more" in result.err


def test_missing_masks_are_reported_with_exit_code_2(cli, bright, tmp_path):
    root = write_images(tmp_path / "photos", each=5)
    for file in (root / "pig").iterdir():
        file.write_bytes(b"junk")
    result = cli("masks", "make", "--data", f"folder:{root}", "--out", tmp_path / "m", "--with", bright())
    assert result.code == 2 and result.out == "made 4, kept 0, empty 0, missing 2\n"
    assert "no mask for 2 images: pig/" in result.err and "is no image" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--with", "seem"], "unknown segmenter 'seem'; known: clipseg, sam, sam3, command:"),
        (["--with", "clipseg:x"], "unknown segmenter 'clipseg:x'"),
        (["--with", "command:"], "no program after command:"),
        (["--with", "command:no-such-program"], "cannot start 'no-such-program'"),
        (["--with", "command:x", "--batch-size", -1], "batch_size must be at least 0, got -1"),
        (["--with", "command:x", "--threshold", 2], "threshold must be from 0 to 1, got 2.0"),
        (["--split", "tset"], "--split"),
        (["--modle", "x"], "--modle"),
    ],
)
def test_wrong_options(refused, photos, arguments, words):
    assert words in refused("masks", "make", "--data", f"folder:{photos}", "--out", "OUT", *arguments)


def test_the_output_folder_is_required_outside_the_images(refused, photos):
    data = f"folder:{photos}"
    assert "--out" in refused("masks", "make", "--data", data)
    assert "--data" in refused("masks", "make", "--out", "OUT")
    for among in (photos / "masks", photos):
        result = refused("masks", "make", "--data", data, "--out", among, "--with", "command:x")
        assert "inside the image folder" in result and "--out beside" in result
    result = refused("masks", "make", "--data", "emoji", "--out", "beside", "--with", "command:x")
    assert "emoji has no image folder" in result and "--out FOLDER" in result
    assert "--split" in refused(
        "masks", "make", "--data", "emoji:val_per_class=0", "--out", "OUT", "--split", "val", "--with", "command:x"
    )


def test_sam_is_prompted_with_the_saliency_of_the_class(photos, trained, monkeypatch):
    """By an untuned backbone or the model of a run, each with Grad-CAM or MaskCLIP."""
    from cliptune.commands import masks_make
    from cliptune.data.custom.folder import Folder
    from cliptune.segmentation.pretrained import PretrainedModel

    model = type("Model", (), {"device": "cpu"})()
    monkeypatch.setattr(
        "cliptune.segmentation.pretrained.load_pretrained",
        lambda kind, name, device: PretrainedModel(kind, name, model, None),
    )
    dataset = Folder(photos)
    examples = dataset.examples("train")[:3]
    images, labels = [dataset.read(e).image for e in examples], [e.label for e in examples]
    maps, abouts = [], []
    for more in ({}, {"saliency": "maskclip"}, {"run": str(trained)}):
        more = {"backbone": "tiny", **more}
        options = masks_make.MasksMake(data=f"folder:{photos}", out="x", with_="sam", device="cpu", **more)
        with warnings.catch_warnings(record=True) as error:
            warnings.simplefilter("always")
            segmenter = masks_make.segmenter_of(options, dataset, Console(quiet=True))
        assert ["knows drawings only" in str(w.message) for w in error] == [True] * ("run" not in more)
        maps.append(segmenter.saliency(images, labels))
        abouts.append(segmenter.settings)
    assert all(m.shape == maps[0].shape and m.shape[:2] == (3, 1) and m.min() >= 0 for m in maps)
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(maps, 2))
    assert not any(a == b for a, b in itertools.combinations(abouts, 2))
