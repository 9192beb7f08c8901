"""A Ray cluster of two nodes, one of which is killed: nothing is lost."""

import io
import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

import cliptune as ct
import logging_method
from cliptune import sweep
from cliptune.runners.ray import Ray

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of one node with one core, to which this process is connected."""
    ray, utilities = pytest.importorskip("ray"), pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("PYTHONPATH", str(Path(logging_method.__file__).parent), prepend=os.pathsep)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else tasks hardly start on a machine with other work
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # keeps Ray from killing tasks itself
    folder = tempfile.mkdtemp(prefix="ray")  # paths of its sockets must be short
    monkeypatch.setenv("RAY_TMPDIR", folder)  # where no other cluster is looked for, nor this one found by others
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    nodes = utilities.Cluster(initialize_head=True, head_node_args=node)
    try:
        ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")  # to this node, which survives
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def a_node_dies(cluster, log):
    """Add a node, and kill it with all its processes when a task on it has trained an epoch, as the `LoggingMethod` of
    this log says. Yields a list that receives it."""
    second = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    killed, ended, nodes = [], threading.Event(), Path(f"{log}.nodes")

    def kill():
        while not (nodes.is_file() and second.node_id in nodes.read_text().split()):
            if ended.wait(0.05):
                return
        cluster.remove_node(second, allow_graceful=False)
        killed.append(second)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        ended.set()
        killer.join()


def test_a_node_of_a_sweep_dies(cluster, photos, tmp_path):
    alone = logging_method.make_jobs(photos, tmp_path / "alone", seeds=(1, 2), epochs=6)
    sweep.run_jobs(alone, Console(file=io.StringIO()))
    out, output = tmp_path / "out", io.StringIO()
    planned = logging_method.make_jobs(photos, out, seeds=(1, 2), epochs=6, breaks="slow")
    with a_node_dies(cluster, planned[0].run.method.log) as killed:
        console = Console(file=output, width=200)
        results = sweep.run_jobs(planned, console, runner=Ray(address=cluster.address))
    counts = logging_method.trained_epochs(out)
    assert killed and output.getvalue().count("another one resumes it") == 1, output.getvalue()
    assert counts.keys() == logging_method.all_epochs(planned) and counts.total() - len(counts) <= 1
    assert logging_method.left_behind(planned) == logging_method.left_behind(alone)
    assert len(results) == 4 and {r.provenance["runner"] for r in results} == {"ray"}
    print(output.getvalue(), counts.total() - len(counts), "epochs repeated")


def test_a_node_of_a_search_dies(cluster, photos, tmp_path, recwarn):
    method = logging_method.LoggingMethod(2, str(tmp_path / "log"), "slow")
    options = {"shots": 2, "epochs": 8, "min_steps": 0, "n_ctx": 2, "batch_size": 6, "scored_on": "validation"}
    options |= {"space": {"lr": "log:0.001:1"}, "trials": 5}
    with a_node_dies(cluster, method.log) as killed:
        found = ct.tune(
            method, f"folder:{photos}", out=tmp_path / "out", runner="ray", address=cluster.address, **options
        )
    said = [str(warning.message) for warning in recwarn]
    assert killed and any("; it is repeated" in one for one in said), said
    assert found.count("complete") + found.count("pruned") == len(found.rows) == 5
    assert found.preset.is_file()
    print(said, [str(row) for row in found.rows])
