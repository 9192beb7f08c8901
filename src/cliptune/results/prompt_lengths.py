"""Prompt tokens per layer, for methods with settings named `lengths_*`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cliptune.types import Result


def prompt_lengths(result: Result) -> dict[str, tuple[int, ...]]:
    """Tower ("text", "image") -> prompt tokens in each of its layers, as trained; empty if there is no such setting."""
    # A search trains other lengths than configured: provenance has those that it found.
    settings: Any = result.provenance.get("trained") or result.config.get("method")
    found: dict[str, tuple[int, ...]] = {}
    while isinstance(settings, Mapping):
        for name, value in settings.items():
            if name.startswith("lengths_") and value:
                found[name.removeprefix("lengths_")] = tuple(value)
        settings = settings.get("base")
    return found


def format_prompt_lengths(lengths: Mapping[str, tuple[int, ...]]) -> list[str]:
    """A line with layer numbers, then one per tower; empty without lengths."""
    if not lengths:
        return []
    layers = range(1, 1 + max(map(len, lengths.values())))
    wide = 1 + max(len(str(n)) for row in (layers, *lengths.values()) for n in row)
    head = max(len("layer"), *map(len, lengths)) + 2
    rows = {"layer": layers, **lengths}
    return [f"{name:<{head}}" + "".join(f"{n:>{wide}}" for n in row) for name, row in rows.items()]
