"""The command line as a separate process: exit codes, streams, closed pipes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cliptune


def run(*arguments, env=None, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(cliptune.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-m", "cliptune", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, **(env or {})},
        timeout=300,
        **{"stdout": subprocess.PIPE, **more},
    )


def test_a_user_error_is_one_sentence_and_exit_code_2(tmp_path):
    done = run("train", "mapel", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cliptune: unknown method 'mapel'; nearest: maple") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_process_trains(tmp_path, photos):
    done = run("train", "coop", "--data", f"folder:{photos}", "--shots", 2, "--epochs", 1, "--out", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("test ") and "Traceback" not in done.stderr
    assert done.stderr.count("note: the bundled ") == 1, "the backbone and the images"
    assert (tmp_path / "r" / "checkpoint.safetensors").is_file()


def test_a_reader_that_closes_the_pipe_early(tmp_path):
    command = f"{sys.executable} -m cliptune list backbones | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=300)
    assert done.stdout.startswith("tiny") and done.stderr == ""


def test_a_full_output_device_is_one_sentence():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        for arguments in (("list", "methods"), ("--help",), ("train", "--help")):
            done = run(*arguments, stdout=full)
            assert done.returncode == 2 and "no space left on device" in done.stderr, done.stderr
            assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "2>&-"])
def test_closed_streams(closed):
    command = f"{sys.executable} -m cliptune --version {closed}"
    env = {**os.environ, "PYTHONPATH": str(Path(cliptune.__file__).parents[1])}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == (0 if closed == "2>&-" else 2)
    output = "cliptune: standard output is closed; send it to a file, or to /dev/null\n"
    assert done.stderr == (output if closed == ">&-" else "")
