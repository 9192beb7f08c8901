"""Listen on an address, load a run, serve it until it is interrupted."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cliptune import checks
from cliptune.errors import UserError, os_reason
from cliptune.serving.limits import RequestLimits

if TYPE_CHECKING:
    from cliptune.tuned import Tuned

#: Seconds that requests in progress have to finish when the server is interrupted.
GRACE = 5


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str = "127.0.0.1"
    """Address to listen on. By default, only this machine can connect; 0.0.0.0 listens on all networks."""
    port: int = 8000
    """Port to listen on; 0 chooses a free one."""

    def __post_init__(self):
        checks.between(self, 0, 65535, "port")

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine can connect."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"

    def bind(self) -> socket.socket:
        """A socket bound to the address, which does not listen yet. Raises `UserError` if it cannot be used."""
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except (socket.gaierror, UnicodeError):
            raise UserError(f"host {self.host!r} is not known; listen on 127.0.0.1 or on 0.0.0.0") from None
        bound = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere, the option would allow a second server on the port
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(place)
            bound.listen()
        except OSError as error:
            bound.close()
            raise self._bind_error(error) from None
        return bound

    def url(self, bound: socket.socket) -> str:
        """The URL of a socket that `bind` returned."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{bound.getsockname()[1]}"

    def _bind_error(self, error: OSError) -> UserError:
        if error.errno == errno.EADDRINUSE:
            return UserError(f"port {self.port} of {self.host} is in use; choose another with --port, 0 for a free one")
        if error.errno == errno.EACCES:
            return UserError(f"port {self.port} is reserved for the administrator; choose one from 1024 with --port")
        return UserError(f"cannot listen on {self.host}, port {self.port}: {os_reason(error)}; try --host 127.0.0.1")


@dataclass(frozen=True)
class Settings:
    """How requests are computed."""

    limits: RequestLimits = field(default_factory=RequestLimits)
    max_batch: int = 64
    decoders: int = field(default_factory=lambda: os.cpu_count() or 1)


def require_packages(extra: str, *names: str) -> None:
    """Raise `UserError` if packages of an extra are not installed. extra: Also the name of the command."""
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            missing = error.name or name
            raise UserError(
                f'cliptune {extra} needs {missing}, which is not installed: pip install "cliptune[{extra}]"'
            ) from None


def serve(tuned: Tuned, name: str, bound: socket.socket, settings: Settings, ready: Callable[[], Any]) -> None:
    """Serve a tuned model until the process is interrupted (Ctrl-C), and let requests in progress finish.

    Args:
        tuned: The model.
        name: Its name in the answers.
        bound: The socket, which is closed in the end.
        settings: How requests are computed.
        ready: Called when everything is loaded.
    """
    from cliptune.serving.api import build_api
    from cliptune.serving.classifier import Classifier
    from cliptune.serving.service import Service

    logging.getLogger("python_multipart").addHandler(logging.NullHandler())  # malformed forms are the client's mistake
    service = Service(Classifier(tuned), settings.limits, settings.max_batch, settings.decoders)
    run_server(build_api(service, name), bound, ready)


def run_server(application: Any, bound: socket.socket, ready: Callable[[], Any]) -> None:
    """Run an ASGI application until the process is interrupted. Arguments as for `serve`."""
    import uvicorn

    config = uvicorn.Config(
        application, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE
    )
    with closing(bound), suppress(KeyboardInterrupt), warnings.catch_warnings(action="ignore"):
        ready()  # from here on, answers contain what warnings would say
        uvicorn.Server(config).run(sockets=[bound])
