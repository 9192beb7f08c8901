"""`cliptune serve RUN`: the URL on standard output, a clean end, and refusals in one sentence."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import cliptune
from http_forms import get, post


@pytest.fixture(autouse=True)
def packages():
    for name in ("fastapi", "uvicorn", "python_multipart"):
        pytest.importorskip(name)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_it_serves_until_it_is_interrupted(trained, photos):
    env = {**os.environ, "PYTHONPATH": str(Path(cliptune.__file__).parents[1]), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "cliptune", "serve", str(trained), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), process.communicate()
            status, answer = post(f"{url}/predict", [("0.png", (photos / "cat" / "0.png").read_bytes())])
            assert status == 200 and answer["predictions"]
            assert post(f"{url}/predict", [("0.png", b"text")])[0] == 422
            assert get(f"{url}/model")[1]["run"] == trained.name
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=180)
        finally:
            process.kill()
    assert process.returncode == 0 and out == "" and "Traceback" not in err, err
    assert f"serving {trained.name}, 3 classes; Ctrl-C stops" in err and err.endswith("stopped\n")


def test_a_port_in_use_is_refused(refused, trained):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused("serve", trained, "--port", port)
    assert f"port {port} of 127.0.0.1 is in use; choose another with --port" in message


def test_mistakes_are_refused_before_anything_is_loaded(refused, tmp_path):
    assert "port must be from 0 to 65535, got 70000" in refused("serve", "x", "--port", 70000)
    assert "'nowhere.invalid' is not known" in refused("serve", "x", "--host", "nowhere.invalid", "--port", 0)
    assert "cannot listen on 192.0.2.1" in refused("serve", "x", "--host", "192.0.2.1", "--port", 0)
    assert "max_queue must be at least 16" in refused("serve", "x", "--max-queue", 3)
    assert "max_batch must be at least 1" in refused("serve", "x", "--max-batch", 0)
    assert "no checkpoint at" in refused("serve", tmp_path / "none", "--port", 0)
    assert "a run's folder comes first" in refused("serve", "--port", 0)


@pytest.mark.parametrize("name", ["fastapi", "uvicorn", "python_multipart"])
def test_a_missing_package_is_named(refused, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    assert f'{name}, which is not installed: pip install "cliptune[serve]"' in refused("serve", "x")


def test_other_addresses_than_loopback_are_pointed_out():
    from cliptune.serving.server import Address

    assert all(Address(host).is_local for host in ("127.0.0.1", "localhost", "::1", "127.0.0.7"))
    assert not any(Address(host).is_local for host in ("0.0.0.0", "192.168.1.4", "::", "example.org"))
    assert Address().is_local
