"""After a process is killed during training, the same command leaves the bytes of an uninterrupted run."""

import os
import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_kill_and_run_again(tmp_path, photos):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def command(out):
        masks = f"folder:{photos.parent / 'masks'}"
        method = ("maple+dapt", "--masks-from", masks, "--augment", "crop", "--keep", "best")
        data = ("--data", f"folder:{photos}", "--shots", "4", "--epochs", "40", "--batch-size", "4")
        return [sys.executable, "-m", "cliptune", "train", *method, *data, "--out", str(tmp_path / out)]

    killed = subprocess.Popen(command("killed"), env=environment, stderr=subprocess.DEVNULL)
    state, deadline = tmp_path / "killed" / "resume.safetensors", time.monotonic() + 240
    while not state.is_file() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it was done before it could be killed"
    assert state.is_file() and not (state.parent / "checkpoint.safetensors").exists()

    for out in ("killed", "alone"):
        subprocess.run(command(out), env=environment, check=True, capture_output=True, timeout=500)
    one, other = ((tmp_path / out / "checkpoint.safetensors").read_bytes() for out in ("killed", "alone"))
    assert one == other
    assert sorted(os.listdir(state.parent)) == ["checkpoint.safetensors", "config.yaml", "inputs.json", "result.json"]
