"""Dry runs look for the data; names of dataset groups; paths without a source prefix."""

import shutil

import pytest

from cliptune.protocols.common.benchmarks import BENCHMARKS
from tiny_tasks import write_images

SWEEP = ("run", "few-shot", "--methods", "zeroshot", "--shots", 1, "--seeds", 1)


def test_available_data(cli, tmp_path, photos):
    data = ("emoji", f"folder:{photos}")
    result = cli(*SWEEP, "--data", *data, "--dry-run", "--out", tmp_path / "r")
    assert result.code == 0 and result.out.endswith("2 runs: 2 missing\n") and not (tmp_path / "r").exists()


def test_missing_data_is_counted_and_named(refused, tmp_path, photos):
    for name in ("a", "b"):
        result = refused(*SWEEP, "--data", f"folder:{photos}", f"folder:{tmp_path}/{name}", "--dry-run")
        assert result.startswith(f"cliptune: 1 of 2 datasets cannot be read: folder:{tmp_path}/{name}: no folder at")
    assert "1 of 1 datasets cannot be read: all: unknown dataset 'all'" in refused(*SWEEP, "--data", "all", "--dry-run")


def test_the_eleven_benchmarks_by_one_name(refused, cli, tmp_path, monkeypatch):
    monkeypatch.delenv("CLIPTUNE_DATA", raising=False)
    result = refused(*SWEEP, "--data", "benchmarks11", "--root", tmp_path, "--dry-run")
    assert result.startswith("cliptune: 11 of 11 datasets cannot be read: imagenet: no ImageNet under ")
    assert all(f"{name}: no " in result for name in BENCHMARKS) and len(BENCHMARKS) == 11


def test_transfer_targets_are_looked_for(refused, cli, tmp_path, photos):
    sweep = ("run", "cross-dataset", "--methods", "zeroshot", "--seeds", 1, "--data", "emoji", "--dry-run")
    assert "folder:nowhere: no folder at nowhere" in refused(*sweep, "--targets", "folder:nowhere")
    assert cli(*sweep, "--targets", f"folder:{photos}", "noto", "--out", tmp_path / "r").code == 0


@pytest.mark.parametrize("path, kind", [("photos", "folder"), ("t.csv", "csv"), ("s.json", "json")])
def test_a_path_without_its_source_is_suggested_with_it(refused, tmp_path, monkeypatch, path, kind):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "photos", each=2)
    for name in ("t.csv", "s.json"):
        shutil.copy(tmp_path / "photos" / "cat" / "0.png", tmp_path / name)
    result = refused("train", "coop", "--data", path, "--out", "OUT")
    assert result == f"cliptune: unknown dataset {path!r}; to read that path, use {kind}:{path}"
