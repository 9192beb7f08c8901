"""The benchmarks still run: each timed workload agrees with the textbook's computation, on a small backbone.

Records that are kept in the repository are read again."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from cliptune import presets
from cliptune.data.custom.csv import Csv
from cliptune.data.custom.folder import Folder
from cliptune.data.public.doctor.check import check_datasets
from cliptune.results.store import load_results
from tiny_clips import backbone

FOLDER = Path(__file__).parents[1] / "benchmarks"
WORKLOADS = ("vision", "gradcam", "coop", "maple", "promptsrc", "pull-push", "alignment", "text", "evaluation")


@pytest.fixture(scope="module")
def bench() -> Iterator[object]:
    sys.path.insert(0, str(FOLDER))
    yield load("workloads").Bench(backbone("deep_image"), depth=2)
    sys.path.remove(str(FOLDER))


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up types
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_agree_with_the_textbook(bench, name):
    values = {variant: call() for variant, call in bench.variants(name, 5).items()}
    first = values.pop("textbook")
    assert values
    for variant, value in values.items():
        assert value == pytest.approx(first, rel=1e-3), variant


@pytest.mark.parametrize("script", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_scripts_load(bench, script):
    assert load(script).__doc__


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:backbone 'tiny' was not trained on")
def test_the_gpu_script_runs_without_one(bench, monkeypatch, tmp_path, capsys):
    gpu, kept = load("gpu"), ("coop", "dapt alignment", "evaluation")
    monkeypatch.setattr(gpu, "REPEATS", 1)
    monkeypatch.setattr(gpu, "plan", lambda small, plan=gpu.plan: [row for row in plan(small) if row.work in kept][::4])
    out = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--small", "--minutes", "60", "--out", str(out)]) == 0
    report = json.loads(out.read_text(encoding="utf-8"))
    rows = {(row["work"], row["precision"]): row for row in report["rows"]}
    assert list(rows) == [("coop", "float32"), ("dapt alignment", "tf32"), ("evaluation", "bfloat16")]
    assert all(row["tflops"] > 0 and row["peak_gib"] is None for row in rows.values()) and report["left_out"] == 0
    (case,) = report["cases"]
    assert case["agrees"] and 0 < case["largest"][0] < 1e-3
    assert "1 of 1 recorded cases agree" in capsys.readouterr().out


def test_what_the_time_does_not_suffice_for_is_counted(bench, tmp_path):
    gpu, out = load("gpu"), tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--small", "--minutes", "0", "--out", str(out)]) == 0
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["rows"] == [] and report["left_out"] == len(gpu.plan(True))
    assert report["cases"] == [{"case": "coop_end_ctx4_words", "skipped": "no time left"}]


def test_out_of_memory_is_a_row(bench, monkeypatch):
    gpu = load("gpu")
    monkeypatch.setattr(gpu, "calls", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    row = gpu.plan(True)[0]
    found = gpu.measured(row, backbone("deep_image"), torch.device("cpu"), {})
    assert found == {**row._asdict(), "error": "out of memory"}


def test_peers_compute_the_same(bench, tmp_path):
    peers, own = load("peers"), backbone("deep_image")
    steps = peers.coop(own, 5)
    first, second = (call() for call in steps.values())
    assert second == pytest.approx(first, rel=1e-4)
    loaders = peers.loading(peers.photographs(tmp_path / "photographs", 6), own, 0)
    first, second = (call() for call in loaders.values())
    assert second == pytest.approx(first, rel=1e-6) and abs(first) > 1


def test_missing_packages_of_peers_are_named(bench, monkeypatch, capsys):
    peers = load("peers")
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    assert peers.main(["--parts", "lora", "zeroshot"]) == 2
    assert "pip install clip-benchmark peft transformers" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_the_script_says_so(bench, capsys):
    assert load("gpu").main([]) == 2
    assert "PyTorch finds no CUDA device here" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["coop", "maple", "maple+dapt, foreground 1", "promptsrc", "taskres"])
def test_kept_records_are_those_of_the_presets(label, monkeypatch):
    """Those of the first two are older than some options of training, which are not in their configuration."""
    method = label.partition(",")[0]
    monkeypatch.syspath_prepend(FOLDER)
    tables, records = load("tables"), load("results").RECORDS
    record = records / f"{label.replace(' ', '_')}-seed1.json"
    out = Path("runs/results")
    assert tables.is_record_of(record, presets.get(method, protocol="base_to_novel", seed=1), out)
    assert not tables.is_record_of(record, presets.get(method, protocol="base_to_novel", seed=2), out)


def test_kept_records_of_tables_are_those_of_tables_elsewhere(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(FOLDER)
    tables, record = load("tables"), FOLDER / "results/photos/scenes/coop-seed1.json"
    options = {"protocol": "base_to_novel", "backbone": "photo", "shots": 16, "seed": 1}
    here, other = (f"csv:{tmp_path}/photos/{name}.csv" for name in ("tiny-imagenet", "other"))
    assert tables.is_record_of(record, presets.get("coop", data=here, **options), tmp_path / "photos/scenes")
    assert not tables.is_record_of(record, presets.get("coop", data=other, **options), tmp_path / "photos/scenes")


def test_kept_records_have_no_absolute_paths():
    records = [*(FOLDER / "results").rglob("*.json")]
    found = [record.name for record in records if re.search(r'"(\w+:)?/', record.read_text(encoding="utf-8"))]
    assert len(records) > 400 and found == []


def test_speed_tables_have_ratios_of_records(bench, monkeypatch):
    def timing(seconds, disturbed=0):
        return {"seconds": seconds, "cpu_seconds": 3 * seconds, "disturbed": disturbed, "share": 0.605}

    def report(ours, disturbed=0):
        variants = {"textbook": timing(8.0), "cliptune": timing(ours, disturbed)}
        peak = {"textbook": 4.0, "cliptune": 2.5}
        extrapolated = {"workload": "maple", "classes": 1000, "variants": {"cliptune": timing(9.0)}}
        extrapolated |= {"extrapolated": 90.0, "peak": {"cliptune": 3.5}}
        coop = {"workload": "coop", "classes": 100, "variants": variants, "peak": peak}
        return {"workloads": [coop, {"workload": "maple", "classes": 10, "variants": variants}, extrapolated]}

    tables, records = load("speed_tables"), {"speed/threads1.json": report(4.0, 1), "speed/threads2.json": report(2.0)}
    monkeypatch.setattr(tables, "load", records.get)
    assert [*tables.steps(["coop"])[1:]] == [
        ("CoOp step", "100", "8 s", "2 s", "4x", "2x*", "4.0 / 2.5", "60%"),
    ]
    assert [row[:2] for row in tables.steps(["10", "100"])[1:]] == [("CoOp step", "100"), ("MaPLe step", "10")]
    assert [*tables.steps(["maple", "1000"])[1:]] == [
        ("MaPLe step", "1,000", "~90 s", "9 s", "~10x", "~10x", "– / 3.5", "60%"),
    ]
    step = {"cliptune": {"cpu_seconds": 1.5, "gib": 2.0}}
    line = {"ms_per_class": 7.25, "largest_error": 0.06}
    records["classes.json"] = {"methods": {"coop": {"classes": {"10": step, "1000": step}, "line_cpu": line}}}
    assert tables.classes([]) == [
        ("step", "10 classes", "1,000 classes", "ms for one more", "largest deviation"),
        ("CoOp, cached features", "1.5 s, 2.0 GiB", "1.5 s, 2.0 GiB", "7.2", "6%"),
    ]
    assert tables.markdown([("a", "b"), ("1", "2")]) == "| a | b |\n| --- | --: |\n| 1 | 2 |"


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_the_growth_of_jobs_is_fitted_without_what_is_constant(bench, power):
    jobs = load("jobs")
    samples = [{"size": n, "cpu_seconds": 3 + 2 * (n - 100) ** power} for n in (100, 200, 400)]
    assert jobs.exponent(samples) == pytest.approx(power)
    assert jobs.exponent([{"size": n, "cpu_seconds": 3.0} for n in (1, 2, 3)]) is None


def size_of(example):
    with Image.open(example.path) as image:
        return image.size


def test_jobs_have_inputs(bench, tmp_path):
    inputs = load("job_inputs")
    train = Folder(inputs.photo_folder(tmp_path / "photos", 20).partition(":")[2]).examples("train")
    assert len(train) == 20 and size_of(train[0]) == (500, 375)
    table = Csv(inputs.large_table(tmp_path / "table", 60).partition(":")[2])
    drawn, _ = table.draw(inputs.SHOTS, 1)
    assert len(table.examples("train")) == 60 and len(drawn) == 40
    assert {size_of(example) for example in drawn} == {(500, 375)}
    assert len(load_results(inputs.records(tmp_path / "records", 30))) == 30
    (found,) = check_datasets(inputs.public_dataset(tmp_path / "public", 50), ["eurosat"]).reports
    assert found.pictures.found == found.pictures.expected == 50
