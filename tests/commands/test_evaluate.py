"""`cliptune evaluate RUN` with tables of predictions and details."""

import csv

import pytest


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_predictions_are_written(cli, trained, tmp_path):
    out = tmp_path / "new" / "p.csv"
    result = cli("evaluate", trained, "--predictions", out)
    assert result.code == 0 and result.out.startswith("test ") and result.out.count("\n") == 1
    assert f"predictions for 6 images in {out}" in result.err
    rows = read(out)
    assert list(rows[0]) == [
        *("path", "true", "predicted", "correct", "true_probability", "predicted_probability"),
        *("margin", "entropy", "split"),
    ]
    share = 100 * sum(row["correct"] == "True" for row in rows) / len(rows)
    assert result.out.split()[1] == f"{share:.2f}"


def test_details_name_classes_and_files(cli, trained, photos):
    result = cli("evaluate", trained, "--details", "--all-images", "--mistakes", 3)
    assert result.code == 0
    for words in ("test: accuracy per class", "unused: accuracy per class", "class  images", "cat", "horse", "pig"):
        assert words in result.out
    assert f"{photos}/" in result.out and "->" in result.out
    assert [line.split()[0] for line in result.out.splitlines()[:4]] == ["test", "train", "val", "unused"]


@pytest.mark.parametrize(
    "line, words",
    [
        ("evaluate {trained} --predictions p.txt", "got p.txt"),
        ("evaluate {trained} --predictions {photos}", "--predictions takes a file"),
        ("evaluate {none} --predictions p.csv", "no checkpoint"),
        ("evaluate {trained} --all-images --data folder:{photos}", "leave it out"),
        ("evaluate {trained} --details --mistakes -1", "mistakes must be at least 0"),
        ("evaluate {trained} --predictions p.csv --data csv:{long.csv}", "none.png (line 2)"),
        ("evaluate {trained} --predictions p.csv --data folder:{none}", "no folder at"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(rejected, line, words):
    assert words in rejected(line)
