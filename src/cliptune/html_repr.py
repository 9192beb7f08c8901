"""How objects show themselves in notebooks: the functions of the package `notebook`, imported when a notebook asks."""

from __future__ import annotations

import html
import importlib
import warnings
from typing import Any

from cliptune.errors import UserError


def html_repr(value: Any, target: str) -> str:
    """The HTML of an object for `_repr_html_`, which never raises `UserError`: its sentence is shown instead.

    target: "module:function" in the package `notebook`.
    """
    module, _, name = target.partition(":")
    with warnings.catch_warnings(action="ignore"):  # looking at an object is no use of it
        try:
            return getattr(importlib.import_module(f"cliptune.notebook.{module}"), name)(value)
        except UserError as error:
            return f"<pre>{html.escape(f'{value!r}: {error}')}</pre>"
