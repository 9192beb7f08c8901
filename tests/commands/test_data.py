"""`cliptune data list | check | show` from the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cliptune.data import public, sources
from tiny_tasks import drawings

SPLITS = Path(__file__).parents[3] / "shared" / "data" / "splits"
FEW = "emoji:train_per_class=3,test_per_class=1,val_per_class=1"


@pytest.fixture
def pets(tmp_path):
    """A root with all of Oxford Pets, as empty files."""
    split = SPLITS / "split_zhou_OxfordPets.json"
    if not split.is_file():
        pytest.skip("needs the split files of ../shared/data")
    home = tmp_path / "root" / "oxford_pets"
    (home / "images").mkdir(parents=True)
    for part in json.loads(split.read_text()).values():
        for name, _, _ in part:
            (home / "images" / name).touch()
    shutil.copy(split, home)
    return tmp_path / "root"


def test_every_source_has_a_line(cli, monkeypatch):
    monkeypatch.delenv("CLIPTUNE_DATA", raising=False)
    result = cli("data", "list")
    assert result.code == 0 and result.err == ""
    assert sorted(line.split()[0] for line in result.out.splitlines()[1:]) == sources.names()
    (pets,) = (line.split() for line in result.out.splitlines() if line.startswith("oxford_pets"))
    assert pets[1:5] == ["37", "2,944", "736", "3,669"]
    assert cli("list", "data").out == result.out, "two commands, one list"


def test_list_shows_what_is_available(cli, monkeypatch, pets):
    monkeypatch.delenv("CLIPTUNE_DATA", raising=False)
    rows = {row["name"]: row for row in json.loads(cli("data", "list", "--root", pets, "--format", "json").out)}
    assert rows["oxford_pets"]["there"] is True and rows["caltech101"]["there"] is False
    assert (rows["oxford_pets"]["classes"], rows["oxford_pets"]["test"]) == (37, 3669)
    assert rows["emoji"]["there"] is None and rows["emoji"]["classes"] is None
    monkeypatch.setenv("CLIPTUNE_DATA", str(pets))
    (line,) = (line for line in cli("list", "data").out.splitlines() if line.startswith("oxford_pets"))
    assert line.split()[5] == "yes"


@pytest.mark.parametrize("arguments", [("list", "--root", "/nowhere"), ("lst",), ("check",), ("show",)])
def test_invalid_arguments(refused, monkeypatch, arguments):
    monkeypatch.delenv("CLIPTUNE_DATA", raising=False)
    result = refused("data", *arguments)
    expected = {"list": "no folder at /nowhere", "lst": "data takes one of list, check"}
    assert expected.get(arguments[0], "data ") in result


def test_check_of_a_complete_dataset(cli, pets, monkeypatch):
    result = cli("data", "check", pets)
    assert result.code == 0 and result.err == ""
    first, rest = result.out.splitlines()
    assert first.split()[:2] == ["oxford_pets", "ready"] and "7,349 images" in first and "published split" in first
    assert rest.startswith("not found: caltech101, ")
    assert cli("data", "check", "--root", pets).out == result.out
    monkeypatch.setenv("CLIPTUNE_DATA", str(pets))
    assert cli("data", "check").out == result.out
    assert cli("data", "check", pets, "oxford_pets").code == 0
    assert cli("data", "check", pets, "oxford_pets", "food101").code == 1


def test_check_of_an_incomplete_dataset(cli, pets):
    for name in ("Abyssinian_201.jpg", "beagle_1.jpg", "wheaten_terrier_10.jpg", "pug_100.jpg", "pug_101.jpg"):
        (pets / "oxford_pets" / "images" / name).unlink()
    result = cli("data", "check", pets)
    assert result.code == 1 and "7,344 of 7,349 images" in result.out
    assert "and 2 more" in result.out and "fix: " in result.out
    record = json.loads(cli("data", "check", pets, "--format", "json").out)
    assert set(record) == {"root", "fix", "datasets"} and set(record["datasets"]) == set(public.specs())
    found = record["datasets"]["oxford_pets"]
    assert found["status"] == "incomplete" and found["layout"] == "CoOp" and found["masks"] is None
    assert found["pictures"]["expected"] == 7349 and found["pictures"]["found"] == 7344
    assert "pug_100.jpg" in found["pictures"]["missing"] and len(found["pictures"]["missing"]) == 5
    assert found["split"]["known"] is True and found["split"]["file"].endswith("OxfordPets.json")
    assert found["home"] == str(pets / "oxford_pets")
    assert record["datasets"]["dtd"]["status"] == "absent" and record["datasets"]["dtd"]["pictures"] is None


def test_check_of_an_empty_root(cli, tmp_path):
    result = cli("data", "check", tmp_path)
    assert (result.code, result.out) == (
        2,
        "",
    ) and f"{tmp_path} is empty; each dataset has its own folder" in result.err
    result = cli("data", "check", tmp_path, "--format", "json")
    assert result.code == 2 and json.loads(result.out)["fix"].startswith(f"{tmp_path} is empty")


def test_check_of_the_datasets_own_folder(cli, pets):
    result = cli("data", "check", pets / "oxford_pets")
    assert result.code == 2 and result.err.strip().endswith(f"give the folder above its own: {pets}")


def shown(cli, monkeypatch, folder, *arguments):
    """The command's result and the image files it wrote, by name."""
    monkeypatch.chdir(folder)
    result = cli("data", "show", *arguments)
    left = {path.name: np.asarray(Image.open(path)) for path in folder.glob("*.png")}
    return result, left


def test_show_dims_the_background(cli, monkeypatch, tmp_path):
    result, left = shown(cli, monkeypatch, tmp_path, FEW, "--classes", 3, "--each", 2)
    assert result.code == 0 and result.out == "6 images of 3 classes in emoji-train.png\n" and result.err == ""
    _, left = shown(cli, monkeypatch, tmp_path, FEW, "--classes", 3, "--each", 2, "--masks-from", "none")
    dimmed, plain = left["emoji-train.png"], left["emoji-train-none.png"]
    assert dimmed.shape == plain.shape and plain.shape[1] >= 480
    white = (plain == 255).all(2)
    assert dimmed[~white].mean() < 0.8 * plain[~white].mean()


@pytest.mark.parametrize("masks", ["grid", "full", "gradcam", "maskclip"])
def test_show_takes_masks_from_anywhere(cli, monkeypatch, tmp_path, photos, masks):
    result, left = shown(
        cli, monkeypatch, tmp_path, f"folder:{photos}", "--classes", 2, "--each", 2, "--masks-from", masks
    )
    assert result.code == 0, result.err
    assert list(left) == [f"photos-train-{masks}.png"]


def test_show_takes_masks_from_a_folder(cli, monkeypatch, tmp_path, photos):
    masks = tmp_path / "masks"
    shutil.copytree(photos.parent / "masks", masks)
    few = (f"folder:{photos}", "--each", 20, "--masks-from", f"folder:{masks}")
    result, left = shown(cli, monkeypatch, tmp_path, *few)
    assert result.code == 0 and result.err == "" and list(left) == ["photos-train-folder.png"]
    shutil.rmtree(masks / "cat")
    result, _ = shown(cli, monkeypatch, tmp_path, *few)
    assert result.code == 0 and "images have no mask: no mask for cat/" in result.err
    for folder in ("horse", "pig"):
        shutil.rmtree(masks / folder)
    result, _ = shown(cli, monkeypatch, tmp_path, *few, "--out", "new.png")
    assert result.code == 2 and not (tmp_path / "new.png").exists()


def test_show_is_the_same_for_a_seed(cli, monkeypatch, tmp_path):
    few = (FEW, "--classes", 3, "--each", 1, "--split", "test")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        _, left = shown(cli, monkeypatch, tmp_path, *few, "--seed", seed, "--out", f"{name}.png")
    assert np.array_equal(left["a.png"], left["b.png"])
    assert left["a.png"].shape != left["c.png"].shape or not np.array_equal(left["a.png"], left["c.png"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("emojy",), "nearest: emoji"),
        ((FEW, "--each", 0), "each must be from 1 to 20, got 0"),
        ((FEW, "--classes", 200, "--each", 20), "4000 images; the maximum is 1000"),
        ((FEW, "--out", "x.jpg"), "use --out x.png"),
        (("emoji:val_per_class=0", "--split", "val"), "has no val images; it has train, test: --split test"),
        ((FEW, "--masks-from", "segmenter"), "unknown mask source 'segmenter'"),
    ],
)
def test_show_refuses(refused, arguments, message):
    assert message in refused("data", "show", *arguments)


def test_images_with_several_classes_are_shown_under_each():
    from dataclasses import replace

    from cliptune.commands.data_show import choose

    examples = drawings().examples("train")[:4]
    both = [replace(example, label=0, labels=(0, 3)) for example in examples]
    chosen = choose(both, 5, 2, 1)
    assert list(chosen) == [0, 3] and all(len({e.key for e in found}) == 2 for found in chosen.values())
