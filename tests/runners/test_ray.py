"""Jobs on a Ray cluster of this machine, one of whose workers is killed."""

import importlib.util
import io
import os
import socket
import sys
from pathlib import Path

import pytest
from rich.console import Console

import logging_method
from cliptune import sweep
from cliptune.errors import UserError
from cliptune.runners import ray as runners
from cliptune.runners.ray import Ray


def test_ray_is_not_installed(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    planned = logging_method.make_jobs(photos, tmp_path / "out", widths=(1,), seeds=(1,), epochs=1)
    with pytest.raises(UserError, match=r'pip install "cliptune\[ray\]"'):
        sweep.run_jobs(planned, Console(file=io.StringIO()), runner=Ray())
    assert not planned[0].folder.exists()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the package ray")
def test_no_cluster_at_the_address(photos, tmp_path):
    planned = logging_method.make_jobs(photos, tmp_path / "out", widths=(1,), seeds=(1,), epochs=1)
    with pytest.raises(UserError, match="no Ray cluster at 'localhost:1' .*refused.*ray start --head"):
        sweep.run_jobs(planned, Console(file=io.StringIO()), runner=Ray(address="localhost:1"))


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the package ray")
def test_a_cluster_with_tokens_and_one_that_does_not_start(photos, tmp_path, monkeypatch):
    planned = logging_method.make_jobs(photos, tmp_path / "out", widths=(1,), seeds=(1,), epochs=1)

    def refuse(**_):
        raise Exception("Failed to connect.")  # Ray's own is no subclass

    monkeypatch.setattr("ray.init", refuse)
    with socket.create_server(("localhost", 0)) as there:
        address = f"localhost:{there.getsockname()[1]}"
        with pytest.raises(UserError, match=r"\(Failed to connect\); .* set RAY_AUTH_MODE=token"):
            sweep.run_jobs(planned, Console(file=io.StringIO()), runner=Ray(address=address))
    with pytest.raises(UserError, match=r"Ray did not start here \(Failed to connect\); try again"):
        sweep.run_jobs(planned, Console(file=io.StringIO()), runner=Ray())


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the package ray")
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_and_a_killed_queue(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(logging_method.__file__).parent), prepend=os.pathsep)
    out = tmp_path / "out"
    planned = logging_method.make_jobs(photos, out, seeds=(1,), epochs=6, breaks="slow")
    output = io.StringIO()
    console = Console(file=output, width=200)
    heard = []

    def lost(mail):
        new = list(read(mail))
        if new and not heard:
            importlib.import_module("ray").kill(mail.actor, no_restart=False)
        heard.extend(new)
        return new

    read = runners._read_events
    monkeypatch.setattr(runners, "_read_events", lost)
    with logging_method.kill_one(planned, out) as killed:
        results = sweep.run_jobs(planned, console, runner=Ray(workers=2, address="local"))
    counts = logging_method.trained_epochs(out)
    assert (
        heard and killed and counts.keys() == logging_method.all_epochs(planned) and counts.total() - len(counts) <= 1
    )
    assert output.getvalue().count("another one resumes it") == 1
    assert [r.provenance["runner"] for r in results] == ["ray", "ray"]
    assert len(sweep.run_jobs(planned, console, runner=Ray())) == 2, "nothing is left, so no cluster starts"
