"""A server in a thread of the test."""

from __future__ import annotations

import threading
import time
import warnings
from contextlib import contextmanager

import pytest

import cliptune as ct
from cliptune.serving.limits import RequestLimits


@pytest.fixture(scope="session")
def trained(tmp_path_factory, photos):
    """The folder of a small run of CoOp on `photos`."""
    folder = tmp_path_factory.mktemp("trained") / "my-model"
    ct.train("coop", data=f"folder:{photos}", shots=2, epochs=1, out=folder)
    return folder


@pytest.fixture(scope="session")
def tuned(trained):
    return ct.load(trained)


@pytest.fixture
def serving(tuned):
    """A function that serves a model within a block, as (URL, service)."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    pytest.importorskip("python_multipart")
    from cliptune.serving.api import build_api
    from cliptune.serving.classifier import Classifier
    from cliptune.serving.server import Address
    from cliptune.serving.service import Service

    @contextmanager
    def run(model=None, max_batch=8, **limits):
        service = Service(Classifier(model or tuned), RequestLimits(**limits), max_batch, decoders=2)
        bound = Address(port=0).bind()
        server = uvicorn.Server(uvicorn.Config(build_api(service, "my-model"), log_level="critical", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            with warnings.catch_warnings(action="ignore"):  # as `serve` does
                yield Address(port=0).url(bound), service
        finally:
            server.should_exit = True
            thread.join()
            bound.close()

    return run


@pytest.fixture
def served(serving):
    """The URL of a server with default limits."""
    with serving() as (url, _):
        yield url
