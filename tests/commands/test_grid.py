"""`cliptune run ... --lr 0.01 0.02 --n-ctx 2 4`: a run per combination of values."""

from pathlib import Path

import pytest

from cliptune.commands.grid import layouts
from cliptune.commands.planning import plan_runs
from cliptune.commands.sweep_options import parse_sweep
from cliptune.config import fingerprint


def plan(out, *arguments):
    """The jobs of a few-shot sweep with one seed and two shots."""
    options, flags = parse_sweep("few-shot", ["--shots", "2", "--seeds", "1", "--out", str(out), *arguments])
    return plan_runs("few-shot", options, flags)


def folders(jobs, out):
    return [str(job.folder.relative_to(out)) for job in jobs]


def test_the_product_of_all_values(tmp_path):
    jobs = plan(tmp_path, "--methods", "coop", "--lr", "0.01", "2e-2", "--n-ctx", "2", "4", "--words=")
    assert [(job.run.training.lr, job.run.method.n_ctx) for job in jobs] == [(0.01, 2), (0.01, 4), (0.02, 2), (0.02, 4)]
    assert folders(jobs, tmp_path)[2] == "coop/lr=0.02,n_ctx=2/seed1"
    assert jobs[2].title.startswith("coop (lr=0.02, n_ctx=2), ") and {job.label for job in jobs} == {"coop"}


def test_single_values_keep_folders_and_fingerprints(tmp_path):
    (one,) = plan(tmp_path, "--methods", "coop", "--lr", "0.01", "--epochs", "3")
    (same,) = plan(tmp_path, "--methods", "coop", "--lr=0.01", "--epochs=3")
    assert folders([one], tmp_path) == ["coop/seed1"] and one.settings == "" and one == same
    grid = plan(tmp_path, "--methods", "coop", "--lr", "0.01", "0.02", "--epochs", "3")
    assert fingerprint(grid[0].run) == fingerprint(one.run)


def test_methods_without_a_field_or_without_training_run_once(tmp_path):
    jobs = plan(
        tmp_path, "--methods", "zeroshot", "coop", "maple", "--lr", "0.01", "0.02", "--words=", "--n-ctx", "2", "4"
    )
    assert [job.label for job in jobs] == ["zeroshot", *["coop"] * 4, *["maple"] * 4]
    jobs = plan(tmp_path, "--methods", "zeroshot", "vpt", "--epochs", "1", "2")
    assert [(job.label, job.run.training.epochs) for job in jobs] == [("zeroshot", 1), ("vpt", 1), ("vpt", 2)]


def test_fields_of_several_numbers_stay_one_value_without_commas(tmp_path):
    for words, expected in ((["1", "2"], [(1, 2)]), (["1,2", "3"], [(1, 2), (3,)]), (["1,2"], [(1, 2)])):
        jobs = plan(tmp_path, "--methods", "mmrl", "--layers", *words)
        assert [job.run.method.layers for job in jobs] == expected
    assert folders(plan(tmp_path, "--methods", "mmrl", "--layers", "1,2", "3"), tmp_path)[0] == "mmrl/layers=1,2/seed1"


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--lr", "0.01", "0.010"], "coop (lr=0.01), emoji, 2 shots, seed 1 is in the sweep twice"),
        (["--lr", "0.01", "0.02", "--lr", "0.03"], "is in the sweep twice; give each flag once"),
        (["--device", "cpu", "cuda"], "--device takes one value, as it does not change results, got cpu cuda"),
        (["--class-specific", "true", "false"], "--class-specific takes no values, got true false"),
        (["--n-cxt", "2", "4"], "nearest: --n-ctx"),
        (["--n-ctx", "2", "4"], "--n-ctx has no effect on coop"),
        (["--lr", "0.01", "high"], "high"),
        (["--epochs", "3", "3"], "epochs"),
    ],
)
def test_refusals(refused, flags, sentence):
    run = ("run", "few-shot", "--methods", "coop", "--shots", 2, "--seeds", 1, "--dry-run", "--out", "OUT")
    assert sentence in refused(*run, *flags)


def test_layouts_of_earlier_sweeps():
    assert layouts(["a"], ["a", "b"]) == [("a",), (), ("b",), ("a", "b")]
    assert layouts([], []) == [()]
    many = list("abcdef")
    assert layouts(["a"], many) == [("a",), (), tuple(many)]


def test_rows_resuming_and_extending(cli, tmp_path, photos):
    out = tmp_path / "sweep"
    run = (
        "run",
        "few-shot",
        "--methods",
        "coop",
        "--data",
        f"folder:{photos}",
        "--shots",
        1,
        "--seeds",
        1,
        "--out",
        out,
    )
    run = (*run, "--epochs", 1)
    assert cli(*run, "--lr", 0.01).code == 0
    result = cli(*run, "--lr", 0.01, 0.02)
    assert result.code == 0 and "coop (lr=0.01)" in result.out and "coop (lr=0.02)" in result.out, result
    found = sorted(str(Path(path).relative_to(out).parent) for path in out.rglob("result.json"))
    assert found == ["coop/lr=0.02/seed1", "coop/seed1"], "the run with one value is used"
    listed = cli(*run, "--lr", 0.01, 0.02, 0.03, "--dry-run").out
    assert listed.endswith("3 runs: 2 done, 1 missing\n") and "coop (lr=0.03)" in listed
    assert cli(*run, "--lr", 0.02, "--dry-run").out.endswith("1 run: 1 done\n")
