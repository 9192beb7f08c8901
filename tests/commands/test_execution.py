"""Execution flags: dry runs, workers, devices."""

import pytest

BRIEF = ("--shots", 2, "--epochs", 1, "--seeds", 1, 2, "--methods", "zeroshot", "coop")


def test_a_dry_run_lists_the_runs_and_executes_nothing(cli, photos, tmp_path):
    command = ("run", "few-shot", *BRIEF, "--data", f"folder:{photos}", "--out", tmp_path / "o")
    result = cli(*command, "--dry-run")
    assert result.code == 0 and result.err == "" and not (tmp_path / "o").exists()
    *rows, last = result.out.splitlines()
    assert [row.split()[:2] for row in rows] == [["missing", label] for label in ("zeroshot", "coop")] * 2
    assert last == "4 runs: 4 missing"
    done = cli(*command)
    assert done.code == 0 and done.err.splitlines()[3].startswith("4 of 4: coop, ")
    next((tmp_path / "o").rglob("coop/**/seed2/result.json")).unlink()
    rows = cli(*command, "--dry-run").out.splitlines()
    assert [row.split()[0] for row in rows[:-1]] == ["done", "done", "done", "missing"]
    assert rows[-1] == "4 runs: 3 done, 1 missing"
    again = cli(*command)
    assert again.out == done.out and len([line for line in again.err.splitlines() if " of 4: " in line]) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--runner", "slurm"), "slurm"),
        (("--workers", -1), "workers must be from 0 to 1024, got -1"),
        (("--address", "auto"), "--address is for --runner ray"),
        (("--gpus-per-task", 1), "--gpus-per-task is for --runner ray"),
        (
            ("--devices", 2, "--workers", 2, "--device", "cpu"),
            "zeroshot trains on several devices at once, so it needs --runner local --workers 1",
        ),
        (("--devices", 2, "--runner", "ray", "--device", "cpu"), "so it needs --runner local --workers 1"),
    ],
)
def test_inconsistent_flags_are_refused(cli, photos, tmp_path, flags, message):
    got = cli("run", "few-shot", *BRIEF, "--data", f"folder:{photos}", "--out", tmp_path / "o", *flags)
    assert got.code == 2 and message in got.err and not (tmp_path / "o").exists()


def test_if_one_method_fails_the_others_are_still_tabulated(cli, photos, tmp_path):
    got = cli(
        *("run", "few-shot", "--methods", "zeroshot", "vpt", "--seeds", 1, "--shots", 2, "--epochs", 1),
        *("--cached-views", 1, "--data", f"folder:{photos}", "--out", tmp_path / "o"),
    )
    assert got.code == 1 and "zeroshot" in got.out and "vpt" not in got.out
    assert (
        "1 of 2 runs failed; the results of the others are saved" in got.err
        and "cached_views needs a text-only method" in got.err
    )
