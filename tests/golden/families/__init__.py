"""Families of cases, one file each.

A file names the `method`s of `case.json` that it knows in `METHODS` and rebuilds them in `check(case, report)`.
Adding a family is adding a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from golden.case import Case
from golden.compare import Report

Check = Callable[[Case, Report], None]


def find(method: str) -> Check | None:
    """The check of the family that knows `method`, or None."""
    for module in pkgutil.iter_modules(__path__):
        family = importlib.import_module(f"{__name__}.{module.name}")
        if method in family.METHODS:
            return family.check
    return None
