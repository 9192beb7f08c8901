"""`cliptune results` from the command line."""

import csv
import io
import random
import shutil

import pytest

from cliptune.results import store
from cliptune.types import Result


def result(method, seed, data="emoji", **metrics):
    return Result(
        task=f"base_to_novel/{data}/16/{seed}",
        method=method,
        data=data,
        seed=seed,
        metrics=metrics,
        config={"method": {"name": method}, "data": data, "seed": seed, "shots": 16, "protocol": "base_to_novel"},
        cost={"seconds": 1.0 + seed, "parameters": 0.0 if method == "zeroshot" else 8.0, "peak_memory_mib": 700.0},
        provenance={
            "backbone": "tiny",
            "data_fingerprint": f"{data}{seed}",
            "test_images": {"base": 960, "novel": 400},
        },
    )


@pytest.fixture
def runs(tmp_path):
    """A folder of records: two methods, two data sets, three seeds."""
    root = tmp_path / "runs"
    for method, gain in (("zeroshot", 0), ("coop", 5)):
        for data in ("emoji", "dtd"):
            for seed in (1, 2, 3):
                made = result(method, seed, data, base=40.0 + gain * seed / 2, novel=40.0 - gain / seed)
                store.save_result(made, root / method / data / f"seed{seed}")
    return root


def test_csv_has_keys_then_metrics_without_times(cli, runs):
    text = cli("results", "table", runs, "--format", "csv").out
    head = text.splitlines()[0].split(",")
    assert head[:7] == ["method", "data", "shots", "seeds", "base", "novel", "hm"]
    assert "seconds" not in text and "peak" not in text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["method"], r["data"]) for r in rows] == [
        *(("zeroshot", "dtd"), ("coop", "dtd"), ("zeroshot", "emoji"), ("coop", "emoji")),
        *(("zeroshot", "average"), ("coop", "average")),
    ]
    assert float(rows[1]["base"]) == 45.0 and float(rows[1]["base_std"]) == 2.5
    costs = cli("results", "table", runs, "--format", "csv", "--cost").out.splitlines()[0]
    assert "seconds" in costs and "peak_memory_mib" in costs


def test_the_table_does_not_depend_on_the_folder_of_the_records(cli, runs, tmp_path):
    expected = cli("results", "table", runs, "--format", "csv").out
    paths = sorted(runs.rglob("result.json"))
    random.Random(0).shuffle(paths)
    for i, path in enumerate(paths):
        (tmp_path / "other" / f"{i}").mkdir(parents=True)
        shutil.copyfile(path, tmp_path / "other" / f"{i}" / "result.json")
        (tmp_path / "flat").mkdir(exist_ok=True)
        shutil.copyfile(path, tmp_path / "flat" / f"{i}.json")
    for folder in ("other", "flat"):
        assert cli("results", "table", tmp_path / folder, "--format", "csv").out == expected


@pytest.mark.parametrize("form, mark", [("terminal", "───"), ("markdown", "| --- |"), ("latex", r"\toprule")])
def test_other_formats(cli, runs, form, mark):
    text = cli("results", "table", runs, "--format", form).out
    assert mark in text and "coop" in text and "45.0" in text


def test_pivot_and_selected_columns(cli, runs):
    text = cli(
        *("results", "table", runs, "--format", "csv", "--methods", "coop", "--metrics", "base", "--columns", "data")
    ).out
    assert text.splitlines()[0].startswith("method,shots,metric,seeds,[dtd],[emoji],[average],")
    assert len(text.splitlines()) == 2


def test_selected_seeds_and_their_standard_error(cli, runs):
    made = cli("results", "table", runs, "--seeds", "1", "3", "--spread", "se", "--format", "markdown").out
    assert "| coop | dtd | 16 | 2 |" in made and "± is the standard error of the mean" in made


def test_per_seed(cli, runs):
    text = cli("results", "table", runs, "--format", "csv", "--per-seed", "--no-average").out
    assert text.splitlines()[0].startswith("method,data,shots,seed,base,")
    assert len(text.splitlines()) == 13


def test_paired_comparison(cli, runs):
    text = cli("results", "table", runs, "--against", "zeroshot", "--format", "markdown").out
    assert "| coop | dtd | 16 | 3 | +5.0 ± 1.4 p=" in text
    assert "Holm-corrected for the 6 comparisons" in text


def test_published_results_note_why_they_are_not_comparable(cli, runs):
    text = cli("results", "table", runs, "--published", "--format", "markdown").out
    assert "No comparable published results: they use ViT-B-16/openai" in text


def test_published_results_only(cli):
    text = cli("results", "published", "--method", "maple", "--data", "average", "--format", "csv").out
    assert text.splitlines()[0] == "method,printed,data,protocol,shots,backbone,metric,value,source,note"
    assert "maple,MaPLe,average,base_to_novel,16,ViT-B-16/openai,hm,78.55," in text
    assert "82.28" in cli("results", "published", "--method", "maple", "--data", "average").out


def test_an_unfinished_log_is_reported(cli, tmp_path):
    folder = tmp_path / "output/dtd/CoOp/vit_b16_16shots/seed1"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("epoch [1/2] batch [1/1] loss 1.0 (1.0) lr 0.1 eta 0:00:00\n")
    output = cli("results", "import", tmp_path / "output", "--out", tmp_path / "back")
    assert output.code == 2
    assert "unfinished" in output.err and "nothing was written" in output.err
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    "arguments, fault",
    [
        (["frobnicate"], "results takes one of table, published, import"),
        (["table"], "a folder of runs comes first"),
        (["table", "RUNS", "--columns", "shot"], "no run has the setting 'shot'"),
        (["table", "RUNS", "--columns", "seeds"], "use --per-seed"),
        (["table", "RUNS", "--metrics", "bse"], "no result has the metric 'bse'"),
        (["table", "RUNS", "--methods", "cop"], "no run has the label 'cop'; known: coop; zeroshot"),
        (["table", "RUNS", "--seeds", "7"], "no run has seed 7; known: 1; 2; 3"),
        (["table", "RUNS", "--against", "cop"], "no result has the method 'cop' to compare with"),
        (["table", "RUNS", "--against", "coop", "--cost"], "--against shows differences only"),
        (["table", "nowhere"], "no result.json under nowhere"),
        (["published", "--method", "mapel"], "nearest: maple"),
        (["import", "nowhere"], "nowhere is no folder"),
    ],
)
def test_mistakes_are_one_sentence(cli, runs, arguments, fault):
    output = cli("results", *(runs if a == "RUNS" else a for a in arguments))
    assert output.code == 2
    assert fault in output.err.replace("\n", " ")
    assert "Traceback" not in output.err and output.err.count("cliptune: ") == 1


def test_help(cli):
    assert "results WHAT" in cli("results", "--help").out


def test_a_piped_table_is_not_wrapped(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    metrics = {f"a_long_name_of_a_test_set_{i}": 50.0 + i for i in range(8)}
    label = "a method with a label that is longer than what a terminal shows of one"
    store.save_result(
        Result("few_shot/emoji/4/1", label, "emoji", 1, metrics, {"method": {"name": "coop"}}), tmp_path / "r"
    )
    output = cli("results", "table", tmp_path)
    assert output.code == 0 and any(label in line and "57.0" in line for line in output.out.splitlines()), output.out
    assert all(f"test_set_{i}" in output.out for i in range(8))
