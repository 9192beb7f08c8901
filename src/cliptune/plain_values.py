"""Plain values from JSON and YAML that anybody may have written: no aliases, little depth, whole characters."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

#: Levels of nesting at most; what cliptune writes has six.
MAX_DEPTH = 40
#: Whole numbers at most; larger ones are no counts, and no float holds them.
MAX_INTEGER = 2**64
#: Halves of characters, which no encoding holds.
SURROGATES = re.compile("[\ud800-\udfff]")

#: What no line of text holds: ends of lines, codes that tell a terminal what to do, halves of characters.
CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def from_json(text: str) -> Any:
    """The value of JSON. Raises `ValueError` saying what is odd about it; NaN and infinities pass, as numbers do."""
    try:
        return check_plain(json.loads(text))
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None


def from_yaml(text: str) -> Any:
    """The value of YAML of plain types without aliases. Raises `ValueError`."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):  # neither builds nor recurses
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it has aliases (*name)")
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        return check_plain(yaml.safe_load(text))
    except Exception as error:  # PyYAML's own, and what Python says of keys, dates and numbers that it cannot hold
        raise ValueError(" ".join(str(error).split())) from None


def check_plain(value: Any) -> Any:
    """`value`, a tree of lists and mappings. Raises `ValueError` for nesting, numbers or text that nobody writes."""
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
                    raise ValueError(f"it holds text with half a character, {half[0]!a}")
            elif isinstance(one, int) and abs(one) > MAX_INTEGER:
                raise ValueError(f"it holds a whole number of {one.bit_length()} bits")
        level, depth = below, depth + 1
        if depth > MAX_DEPTH + 1:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    return value
