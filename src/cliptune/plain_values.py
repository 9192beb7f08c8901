"""Read plain values from untrusted JSON and YAML: no aliases, limited depth and integers, valid Unicode only."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

#: Limit on nesting levels; files of cliptune have six.
MAX_DEPTH = 40
#: Limit on the absolute value of integers.
MAX_INTEGER = 2**64
#: Lone surrogates, which no encoding can represent.
SURROGATES = re.compile("[\ud800-\udfff]")

#: Characters that a line of text must not contain: line ends, terminal control codes, lone surrogates.
CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def from_json(text: str) -> Any:
    """Parse JSON; NaN and infinities are accepted. Raises `ValueError` with the reason if the value is not plain."""
    try:
        return check_plain(json.loads(text))
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None


def from_yaml(text: str) -> Any:
    """Parse YAML of plain types without aliases. Raises `ValueError`."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):  # events need neither objects nor recursion
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it has aliases (*name)")
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        return check_plain(yaml.safe_load(text))
    except Exception as error:  # PyYAML's errors, and Python's for invalid keys, dates and numbers
        raise ValueError(" ".join(str(error).split())) from None


def check_plain(value: Any) -> Any:
    """Return `value`, a tree of lists and dicts. Raises `ValueError` if it exceeds the limits of this module."""
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += [*one, *one.values()]
            elif isinstance(one, (list, tuple)):
                below += one
            elif isinstance(one, str):
                if half := SURROGATES.search(one):
                    raise ValueError(f"it contains a lone surrogate, {half[0]!a}")
            elif isinstance(one, int) and abs(one) > MAX_INTEGER:
                raise ValueError(f"it contains an integer of {one.bit_length()} bits")
        level, depth = below, depth + 1
        if depth > MAX_DEPTH + 1:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    return value
