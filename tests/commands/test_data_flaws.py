"""`cliptune data duplicates` and `cliptune data mislabelled`."""

import csv
import shutil
import warnings

import pytest

import cliptune as ct


@pytest.fixture(scope="module")
def flawed(tmp_path_factory, photos):
    """The photos with one image of a cat labelled as a pig and another as a horse as well, and two runs on them."""
    root = tmp_path_factory.mktemp("flawed")
    shutil.copytree(photos, root / "photos")
    shutil.copy(root / "photos/cat/1.png", root / "photos/horse/copy.png")
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # about the copy
        for method, seed, more in (("zeroshot", 1, {}), ("coop", 2, {"epochs": 1})):
            out = root / "runs" / f"{method}{seed}"
            ct.train(method, data=f"folder:{root / 'photos'}", shots=1, seed=seed, out=out, **more)
    return root


def test_duplicates(cli, flawed, tmp_path):
    result = cli("data", "duplicates", f"folder:{flawed / 'photos'}", "--out", tmp_path / "d.csv")
    assert result.code == 0 and result.out.startswith("1 groups of exact and 0 of near duplicates: 1 across classes")
    assert "cat/1.png (cat; " in result.out and "horse/copy.png (horse; " in result.out
    with open(tmp_path / "d.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["cat", "horse"] and {row["kind"] for row in rows} == {"exact"}


def test_mislabelled(cli, flawed, tmp_path):
    result = cli("data", "mislabelled", flawed / "runs", "--out", tmp_path / "m.jsonl", "--limit", 2)
    assert result.code == 0, result.err
    assert "of 25 images are likely mislabelled, judged by 2 runs" in result.out
    lines = (tmp_path / "m.jsonl").read_text().splitlines()
    assert int(result.out.split()[0]) == len(lines)


def test_training_images_of_every_run_are_not_judged(cli, flawed):
    result = cli("data", "mislabelled", flawed / "runs" / "coop2")
    assert result.code == 0 and "of 22 images are likely mislabelled, judged by 1 run\n" in result.out
    assert "3 of 25 images were in the training of every run" in result.err


@pytest.mark.parametrize(
    "line, words",
    [
        ("data mislabelled", "name runs"),
        ("data mislabelled {empty}", "no runs with a checkpoint"),
        ("data mislabelled {trained} --out m.txt", "got m.txt"),
        ("data duplicates folder:{none}", "no folder at"),
        ("data duplicates csv:{long.csv}", "none.png (line 2)"),
        ("data duplicates folder:{photos} --out d.txt", "got d.txt"),
    ],
)
def test_mistakes(rejected, line, words):
    assert words in rejected(line)


def test_runs_of_different_data(cli, flawed, trained):
    result = cli("data", "mislabelled", flawed / "runs" / "coop2", trained)
    assert result.code == 2 and "different data" in result.err
