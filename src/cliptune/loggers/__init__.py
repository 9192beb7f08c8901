"""Loggers of runs: each module here defines one. `"package.module:Class"` names a logger of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cliptune.errors import UserError, shown
from cliptune.loggers.common.logger import Logger
from cliptune.registry import Registry

if TYPE_CHECKING:
    from cliptune.engine.watchers import Watcher

REGISTRY = Registry("logger", (__name__,), Logger, external=True)


def names() -> list[str]:
    """The names of all loggers, sorted."""
    return REGISTRY.names()


def build_loggers(log: str | Logger | Sequence[str | Logger]) -> list[Watcher]:
    """A watcher that reports to the loggers of these names, and to logger objects; none for an empty list.

    Raises:
        UserError: If there is no such logger, or its library is not installed.
    """
    from cliptune.loggers.common.log_watcher import LogWatcher

    given = [log] if isinstance(log, (str, Logger)) else list(log)
    loggers = {str(one) if isinstance(one, str) else one: _build(one) for one in given}
    return [LogWatcher(tuple(loggers.values()))] if loggers else []


def check_loggers(names: Sequence[str]) -> None:
    """Raise `UserError` for a name that is no logger, or one whose library is not installed."""
    for name in names:
        _build(name)


def _build(one: str | Logger) -> Logger:
    if isinstance(one, Logger):
        return one
    if not isinstance(one, str):
        raise UserError(f"log takes {', '.join(names())}, or objects of a subclass of Logger, got {shown(one)}")
    found = REGISTRY.get(one)
    if not (inspect.isclass(found) and issubclass(found, Logger)):
        raise UserError(f"{one!r} is not a subclass of cliptune.loggers.Logger")
    return found()
