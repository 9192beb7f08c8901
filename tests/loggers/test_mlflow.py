"""MLflow with a server of its own on this machine, with SQLite."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

import cliptune as ct
from cliptune.loggers.common.logger import Logger
from cliptune.run_dir import IDENTITIES

mlflow = pytest.importorskip("mlflow")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@contextmanager
def server(folder):
    """The address of a running server with its database and files in `folder`, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2).read()
                break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.5)
        yield url, process
    finally:
        stop(process)


def stop(process):
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()


class Stop(Logger):
    """Stops the server after the first epoch."""

    def __init__(self, process):
        self.process = process

    def scalars(self, values, epoch):
        stop(self.process)


def test_a_server(photos, tmp_path, monkeypatch):
    with server(tmp_path) as (url, process):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "pets")
        out = tmp_path / "run"
        options = {"data": f"folder:{photos}", "shots": 2, "epochs": 2}
        run = ct.train("coop+dapt", log="mlflow", out=out, **options)
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name("pets")
        (found,) = client.search_runs([experiment.experiment_id])
        assert found.info.status == "FINISHED" and found.info.run_name == "coop+dapt, seed 1"
        assert found.data.params["shots"] == "2" and found.data.params["method.base.name"] == "coop"
        losses = [m.value for m in client.get_metric_history(found.info.run_id, "loss")]
        assert losses == pytest.approx([row["loss"] for row in run.result.history])
        assert found.data.metrics["accuracy/test"] == pytest.approx(run.result.metrics["test"])
        files = {file.path for file in client.list_artifacts(found.info.run_id)}
        assert files == {"checkpoint.safetensors", "result.json", "config.yaml", "training images"}
        assert len(client.list_artifacts(found.info.run_id, "training images")) == 4
        assert not (out / IDENTITIES).exists()
        began = time.monotonic()
        with pytest.warns(UserWarning, match="MLflow stopped logging .*; the run continues without it"):
            again = ct.train("coop", log=["mlflow", Stop(process)], **options)
        assert again.result.metrics and time.monotonic() - began < 120
