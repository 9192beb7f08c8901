"""`cliptune auto` from an empty folder, its continuation, and mistakes."""

from pathlib import Path

import pytest

QUICK = ("--methods", "linear_probe", "--epochs", 1, "--min-steps", 0, "--folds", 2, "--backbone", "tiny")


def test_auto(cli, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("auto", "--data", f"folder:{photos}", "--time-limit", "10m", "--out", "best", *QUICK)
    assert result.code == 0, result.err
    assert "2-fold cross-validation over 18 images; 6 test images are used once" in result.err
    lines = result.out.splitlines()
    assert lines[1] == "leaderboard: accuracy on 18 images of the comparison"
    assert lines[2].split() == ["method", "%", "95", "%", "vs", "zeroshot", "p", "parameters", "seconds"]
    assert {line.split()[0] for line in lines[3:5]} == {"zeroshot", "linear_probe"}
    assert lines[-1].startswith("test") and lines[-1].endswith("%")
    assert (Path("best") / "leaderboard.csv").is_file()
    assert cli("predict", "best", photos / "cat" / "0.png").code == 0
    again = cli("auto", "--data", f"folder:{photos}", "--out", "best", *QUICK)
    assert again.out == result.out


def test_methods_without_time_are_named(cli, photos, tmp_path):
    result = cli("auto", "--data", f"folder:{photos}", "--time-limit", "0.01s", "--out", tmp_path / "best", *QUICK)
    assert result.code == 0 and "linear_probe: left out after 0 of 2 folds" in result.err
    assert "left out by the time limit of 1s: linear_probe" in result.err
    assert "linear_probe  -" in result.out and "no method of the comparison is more accurate" in result.out


@pytest.mark.parametrize(
    "flags,words",
    [
        (("--time-limit", "soon"), "90s, 10m or 1h"),
        (("--folds", 1), "folds must be at least 2"),
        (("--methods", "cop"), "nearest: coop"),
        (("--methods", "coop", "coop"), "twice"),
        (("--scored-on", "test"), "scored-on"),
        (("--lrr", 1), "--lr"),
        (("--methods", "coop", "--lr", 0.1, 0.2), "one value per option"),
        (("--methods", "coop", "--alpha", 1), "--alpha"),
        (("--methods", "coop", "--keep", "best"), "validation images"),
        (("--protocol", "base_to_novel"), "--protocol"),
        (("--data", "folder:nowhere"), "nowhere"),
        (("--backbone", "ViT-B-17"), "ViT-B-16"),
        (("--methods", "maple+dapt", "--masks-from", "moon"), "moon"),
    ],
)
def test_refusals(refused, photos, flags, words):
    given = () if "--data" in flags else ("--data", f"folder:{photos}")
    assert words in refused("auto", *given, *flags, "--out", "OUT")
