"""`cliptune list methods | backbones | data`."""

from __future__ import annotations

import importlib
import sys

from cliptune import methods
from cliptune.data import sources
from cliptune.errors import UserError


def list_(arguments: list[str]) -> None:
    """Print one kind of name, a line each."""
    kinds = {"methods": _methods, "backbones": _backbones, "data": _data}
    if len(arguments) != 1 or arguments[0] not in kinds:
        if arguments in (["-h"], ["--help"]):
            sys.stdout.write("usage: cliptune list methods | backbones | data\n")
            return
        raise UserError(f"list takes one of {', '.join(kinds)}, got {' '.join(arguments) or 'nothing'}")
    for line in kinds[arguments[0]]():
        sys.stdout.write(line + "\n")


def _methods() -> list[str]:
    lines = []
    for name in methods.names():
        cls = methods.get(name)
        shown = f"METHOD+{name}" if methods.is_wrapper(cls) else name
        lines.append(f"{shown:<16}{(cls.__doc__ or '').strip().splitlines()[0]}")
    return lines


def _backbones() -> list[str]:
    from cliptune.backbones import load

    shown = [
        "tiny            bundled, for demonstrations and tests; every other one takes weights with --pretrained "
        "TAG or FILE"
    ]
    return shown + [f"{name:<40}{' '.join(load.tags(name)) or '-'}" for name in load.names() if name != "tiny"]


def _data() -> list[str]:
    homes = {name: importlib.import_module(f"{sources.__name__}.{name}") for name in sources.names()}
    return [f"{name:<12}{(home.__doc__ or '').strip().splitlines()[0]}" for name, home in homes.items()]
