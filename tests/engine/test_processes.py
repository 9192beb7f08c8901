"""Two processes that train one run together make the same steps as one process with twice the batch."""

import os
import subprocess
import sys

import pytest
import torch

from cliptune.engine import checkpoint
from cliptune.results import store


@pytest.mark.slow
@pytest.mark.parametrize("more", [("coop", "--cached-views", "0"), ("coop", "--cached-views", "1"), ("maple",)])
def test_two_processes_equal_one_with_twice_the_batch(tmp_path, photos, more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    tensors, printed, records = [], [], []
    for devices, batch in ((1, 4), (2, 2)):
        out = tmp_path / str(devices)
        data = ("--data", f"folder:{photos}", "--shots", "4", "--epochs", "3", "--device", "cpu")
        split = ("--devices", str(devices), "--batch-size", str(batch), "--out", str(out))
        command = [sys.executable, "-m", "cliptune", "train", *more, *data, *split]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=300)
        tensors.append(checkpoint.read_checkpoint(out / "checkpoint.safetensors")[0])
        printed.append(done.stdout)
        records.append(store.load_result(out / "result.json"))
        assert sorted(os.listdir(out)) == ["checkpoint.safetensors", "config.yaml", "inputs.json", "result.json"]
    assert tensors[0].keys() == tensors[1].keys()
    for name, one in tensors[0].items():
        assert torch.allclose(one, tensors[1][name], atol=2e-4), name
    for one, two in zip(*(record.history for record in records), strict=True):
        assert one == pytest.approx(two, rel=1e-3), "the loss is the mean over both"
    assert records[0].metrics == records[1].metrics
    assert [text.count("\n") for text in printed] == [1, 1], "only one process prints"
