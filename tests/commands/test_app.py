"""`cliptune app RUN [RUN ...]`: refusals in one sentence."""

import socket
import sys

import pytest

from cliptune.commands.app import unique_names
from cliptune.errors import UserError


@pytest.fixture
def packages():
    for name in ("gradio", "fastapi", "uvicorn"):
        pytest.importorskip(name)


def test_mistakes_are_refused(refused, packages, trained, tmp_path):
    assert "no run was named" in refused("app")
    assert "port must be from 0 to 65535" in refused("app", "x", "--port", -1)
    assert "max_images must be at least 1" in refused("app", "x", "--max-images", 0)
    assert "no checkpoint at" in refused("app", tmp_path / "none", "--port", 0, "--corrections", "OUT")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "is in use" in refused("app", trained, "--port", taken.getsockname()[1])
    (tmp_path / "file").write_text("")
    assert "cannot write to" in refused("app", trained, "--port", 0, "--corrections", tmp_path / "file")


def test_a_missing_package_is_named(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert 'needs gradio, which is not installed: pip install "cliptune[app]"' in refused("app", "x")


def test_runs_are_named_by_what_differs():
    assert unique_names(("/a/x/seed1", "/a/y/seed2")) == ["seed1", "seed2"]
    assert unique_names(("/a/x/seed1", "/a/y/seed1")) == ["x/seed1", "y/seed1"]
    with pytest.raises(UserError, match="named twice"):
        unique_names(("/a/x", "/a/x"))
