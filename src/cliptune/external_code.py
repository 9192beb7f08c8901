"""Code outside of cliptune, named as `"package.module:Class"`: imported where a person typed the name, never because a
file says it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection
from typing import Any

from cliptune.errors import UserError

#: Whose names may be imported: nobody's, everybody's, or these.
AllowCode = bool | Collection[str]


def is_external(name: str) -> bool:
    """Whether the name is of code outside of cliptune."""
    return ":" in name


def check_allowed(name: str, what: str, allow_code: AllowCode) -> None:
    """Raise `UserError` for a name in a file that would have code run which nobody asked for.

    what: the kind of thing it names, as a noun. allow_code: names that may be imported, or whether all may.
    """
    if is_external(name) and not (allow_code if isinstance(allow_code, bool) else name in allow_code):
        raise UserError(
            f"{what} {name!r} is code outside of cliptune, which a file cannot ask to be run; if you trust it, say "
            f"--allow-code, or allow_code=True in Python"
        )


def import_external(name: str, what: str) -> Any:
    """Import what a name stands for. The current folder is searched too, after everything else.

    Raises `UserError` if it cannot be imported.
    """
    module, _, attribute = name.partition(":")
    try:
        if (here := os.getcwd()) not in sys.path:
            sys.path.append(here)  # for good: worker processes import it as well
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{what} {name!r} cannot be imported: {error}") from None
    except Exception as error:  # the module's own code may raise anything
        raise UserError(f"{what} {name!r} cannot be imported: {type(error).__name__}: {error}") from None
