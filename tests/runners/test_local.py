"""Jobs in this process and in worker processes: failures, locked directories, killed workers."""

import io
import os
import threading

import pytest
from rich.console import Console

import logging_method
from cliptune import sweep
from cliptune.dir_lock import LOCK_FILE
from cliptune.errors import Unfinished, UserError
from cliptune.results.store import RESULT_FILE, load_result
from cliptune.runners.local import Local


def quietly(planned, **more):
    console = Console(file=io.StringIO(), width=200)
    try:
        return sweep.run_jobs(planned, console, **more)
    finally:
        quietly.output = console.file.getvalue()  # type: ignore[attr-defined]


def test_a_failing_job_does_not_stop_the_others(photos, tmp_path):
    out = tmp_path / "out"
    good, bad = (
        logging_method.make_jobs(photos, out, widths=(n,), seeds=(1, 2), epochs=1, breaks=b)
        for n, b in ((1, ""), (2, "bug"))
    )
    with pytest.raises(Unfinished) as error:
        quietly([bad[0], *good, bad[1]])
    assert [r.seed for r in error.value.results] == [1, 2]
    assert error.value.sentences[0] == "2 of 4 runs failed; the results of the others are saved"
    assert error.value.sentences[1].startswith(f"{bad[0].title}: ZeroDivisionError: a bug (traceback in ")
    assert "logging_method.py" in (bad[0].folder / "error.txt").read_text()
    lines = quietly.output.splitlines()  # type: ignore[attr-defined]
    assert lines[0] == f"1 of 4: {bad[0].title} failed"
    assert lines[1].startswith(f"2 of 4: {good[0].title} in ") and lines[1].endswith(" left")
    mended = logging_method.make_jobs(photos, out, widths=(2,), seeds=(1,), epochs=1)
    assert sweep.job_state(mended[0]) == "missing"
    quietly(mended)
    assert not (bad[0].folder / "error.txt").exists()


def test_a_mistake_common_to_all_jobs_is_one_sentence(photos, tmp_path):
    planned = logging_method.make_jobs(photos, tmp_path / "out", epochs=1)
    for entry in planned:
        entry.folder.mkdir(parents=True)
        (entry.folder / "config.yaml").mkdir()
    with pytest.raises(UserError, match=r"cannot write to .*config\.yaml"):
        quietly(planned[:1])


def test_a_locked_job_is_waited_for(photos, tmp_path):
    first, second = logging_method.make_jobs(photos, tmp_path / "out", widths=(1,), seeds=(1, 2), epochs=1)
    first.folder.mkdir(parents=True)
    lock = first.folder / LOCK_FILE
    lock.write_text("filelock/2\npid=77\nhost=far\nmode=lease\ntoken=1\nduration=60.0\n")
    assert sweep.job_state(first) == "running (process 77 on far)"
    threading.Timer(2, lock.unlink).start()
    assert [r.seed for r in quietly([first, second])] == [1, 2]
    log = (tmp_path / "out.log").read_text().split("\n")
    assert log[:2] == ["1 2 0", "1 1 0"], "the other first"
    assert "waiting for 1 that another process is running" in quietly.output  # type: ignore[attr-defined]


def test_temporary_files_of_killed_processes_are_removed(photos, tmp_path):
    (entry,) = logging_method.make_jobs(photos, tmp_path / "out", widths=(1,), seeds=(1,), epochs=1)
    entry.folder.mkdir(parents=True)
    (entry.folder / ".result.json.0123.tmp").touch()
    quietly([entry])
    assert sorted(os.listdir(entry.folder)) == ["checkpoint.safetensors", "config.yaml", "inputs.json", "result.json"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_worker_is_replaced_and_its_job_resumed(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    out = tmp_path / "out"
    planned = logging_method.make_jobs(photos, out, seeds=(1,), epochs=6, breaks="slow")
    with logging_method.kill_one(planned, out) as killed:
        results = quietly(planned, runner=Local(workers=2))
    assert killed and killed[0] != os.getpid()
    counts = logging_method.trained_epochs(out)
    assert counts.keys() == logging_method.all_epochs(planned) and counts.total() - len(counts) <= 1
    output = quietly.output  # type: ignore[attr-defined]
    assert output.count("its worker was killed by signal 9") == 1 and "another one resumes it" in output
    assert {r.provenance["runner"].partition(" worker")[0] for r in results} == {"local,"}
    for result in results:
        assert result.cost["peak_memory_mib"] > 100 and result.cost["cpu_seconds"] > 0 and result.provenance["host"]
    files = ["checkpoint.safetensors", "config.yaml", "inputs.json", "result.json"]
    assert all(sorted(os.listdir(entry.folder)) == files for entry in planned)
    assert [load_result(entry.folder / RESULT_FILE) for entry in planned] == results
