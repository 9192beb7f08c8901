"""Code outside of cliptune, named as `"package.module:Class"`.

It is imported only if the user typed the name; a name in a file needs explicit permission.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection
from typing import Any

from cliptune.errors import UserError

#: Which names in files may be imported: none, all, or these.
AllowCode = bool | Collection[str]


def is_external(name: str) -> bool:
    """Whether the name refers to code outside of cliptune."""
    return ":" in name


def check_allowed(name: str, what: str, allow_code: AllowCode) -> None:
    """Raise `UserError` for a name in a file whose import is not allowed.

    what: The kind of entry, for the message. allow_code: Names that may be imported, or whether all may.
    """
    if is_external(name) and not (allow_code if isinstance(allow_code, bool) else name in allow_code):
        raise UserError(
            f"{what} {name!r} is code outside of cliptune, which is not imported because a file names it; if you trust "
            f"it, add --allow-code, or allow_code=True in Python"
        )


def import_external(name: str, what: str) -> Any:
    """Import the object of a name. The current folder is searched last.

    Raises `UserError` if it cannot be imported.
    """
    module, _, attribute = name.partition(":")
    try:
        if (here := os.getcwd()) not in sys.path:
            sys.path.append(here)  # kept there for worker processes
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{what} {name!r} cannot be imported: {error}") from None
    except Exception as error:  # the code of the module may raise anything
        raise UserError(f"{what} {name!r} cannot be imported: {type(error).__name__}: {error}") from None
