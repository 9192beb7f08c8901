"""Registries: entries such as methods or datasets, imported by name."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cliptune.errors import UserError, shown
from cliptune.external_code import import_external, is_external
from cliptune.text import listed


def closest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The `known` names most similar to `name`, best first; empty if none is similar."""
    return difflib.get_close_matches(name, list(known), n=limit)


def nearest(name: str, known: Iterable[str], limit: int = 20) -> str:
    """A hint for an unknown name: "nearest: maple", or "known: coop, maple" if none is similar.

    limit: The number of known names to list.
    """
    known = list(known)
    close = closest(name, known)
    return f"nearest: {', '.join(close)}" if close else f"known: {listed(known, limit)}"


@dataclass(frozen=True)
class Registry:
    """Entries by name: each module of a package defines one; subpackages hold shared code.

    Args:
        kind: What an entry is called in messages, such as "method".
        packages: Dotted names of the packages.
        base: The class that an entry derives from. None: an entry is the function named like its module.
        others: Entries elsewhere: name -> "package.module", or "package.module:attribute".
        external: Whether to accept "package.module:attribute" of other packages in place of a name.
    """

    kind: str
    packages: tuple[str, ...] = ()
    base: type | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    external: bool = False

    def names(self) -> list[str]:
        """The names of all entries, sorted; no entry is imported."""
        return sorted(self._homes())

    def get(self, name: str) -> Any:
        """Import the entry `name`. Raises `UserError` with the nearest names if there is none."""
        if self.external and is_external(name):
            return import_external(name, self.kind)
        homes = self._homes()
        key = name if name in homes else name.replace("-", "_")
        if key not in homes:
            raise UserError(f"unknown {self.kind} {shown(name)}; {nearest(key, self.names())}")
        path, _, attribute = homes[key].partition(":")
        module = importlib.import_module(path)
        if attribute or self.base is None:
            return getattr(module, attribute or key)
        own = [value for value in vars(module).values() if getattr(value, "__module__", "") == path]
        (entry,) = [value for value in own if inspect.isclass(value) and issubclass(value, self.base)]
        return entry

    def _homes(self) -> dict[str, str]:
        """Name -> "package.module" or "package.module:attribute"."""
        found = dict(self.others)
        for package in self.packages:
            modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
            found |= {module.name: f"{package}.{module.name}" for module in modules if not module.ispkg}
        return found
