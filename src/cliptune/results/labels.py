"""Method labels: one label per configuration, and the order of methods in tables."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cliptune.types import Result

#: Settings that do not distinguish methods: they have columns of their own or name the device.
NON_METHOD_SETTINGS = frozenset({"seed", "data", "shots", "device", "devices"})
IMPORTED_SUFFIX = " (imported)"
#: Entries of a record's provenance that a reader must know to compare the row -> words after the method's name.
MARKS = {"transductive": "transductive", "epoch_chosen_on": "epoch chosen on test"}


def num_shots(result: Result) -> int | None:
    """Training images per class in the configuration; 0 means all, None unknown."""
    return result.config.get("shots")


def uses_pool(result: Result) -> bool:
    """Whether a run trained on all images of a pool without labels, so that its number of shots had no effect."""
    # Older records say that of transductive runs alone.
    return bool(result.provenance.get("pool") or result.provenance.get("transductive"))


def get_setting(result: Result, key: str) -> Any:
    """A setting by its dotted name ("fraction", "training.epochs"), with lists as text; None if unknown."""
    value: Any = result.config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        return json.dumps(value, sort_keys=True)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def label_methods(results: Sequence[Result], aside: Sequence[str] = ()) -> list[Result]:
    """Append differing settings to the method names: "coop (n_ctx=4)", so that different settings are never averaged.

    Rows with an entry of `MARKS` always say so: "promptkd (transductive)". Other names are unchanged if all settings
    agree. Runs imported from logs, which record few settings, are labelled
    "coop (imported)" if there are other runs as well.

    Args:
        results: the results of all methods.
        aside: further settings that do not distinguish methods.
    """
    imported = ["imported_from" in result.provenance for result in results]
    mixed = len(set(imported)) > 1
    named = [
        dataclasses.replace(result, method=f"{result.method}{IMPORTED_SUFFIX}")
        if mixed and other and IMPORTED_SUFFIX not in result.method
        else result
        for result, other in zip(results, imported, strict=True)
    ]
    named = [dataclasses.replace(result, method=mark_method(result)) for result in named]
    groups: dict[tuple, list[int]] = defaultdict(list)
    for i, result in enumerate(named):
        # Tables say that a pool is all images, whatever the number of shots, so the label has the number.
        shots = None if uses_pool(result) else num_shots(result)
        groups[(result.data, result.method, shots, *(str(get_setting(result, key)) for key in aside))].append(i)
    for places in groups.values():
        settings = [{k: v for k, v in _flatten(results[i].config) if k not in aside} for i in places]
        for known, i in zip(settings, places, strict=True):
            if uses_pool(results[i]) and "shots" not in aside:
                known["shots"] = str(num_shots(results[i]))
        differing = [k for k in sorted(set().union(*settings)) if len({s.get(k) for s in settings}) > 1]
        short = [k.rpartition(".")[2] for k in differing]
        keys = short if len(set(short)) == len(short) else differing
        for i, known in zip(places, settings, strict=True):
            words = ", ".join(f"{key}={known.get(full, 'default')}" for key, full in zip(keys, differing, strict=True))
            if words:
                named[i] = dataclasses.replace(named[i], method=f"{named[i].method} ({words})")
    return named


def mark_method(result: Result) -> str:
    """The method's name with the words of `MARKS` that apply to its run, once."""
    marks = ", ".join(words for entry, words in MARKS.items() if result.provenance.get(entry))
    return result.method if not marks or f"({marks})" in result.method else f"{result.method} ({marks})"


def methods_that_train(results: Sequence[Result]) -> dict[str, bool]:
    """Whether each method has trainable parameters; assumed if not recorded."""
    found: dict[str, bool] = {}
    for result in results:
        found[result.method] = found.get(result.method, False) or result.cost.get("parameters", 1) > 0
    return found


def method_order(results: Sequence[Result]) -> list[str]:
    """Method names in table order: training-free methods first, then each method followed by its wrapped variants."""
    found = methods_that_train(results)
    return sorted(found, key=lambda name: (found[name], [natural_sort_key(part) for part in name.split("+")]))


def natural_sort_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key that compares numbers in text by value: "n_ctx=4" before "n_ctx=16"."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def setting_sort_key(value: Any) -> tuple:
    """Sort key for settings: None, then numbers by value, then text by `natural_sort_key`."""
    if isinstance(value, (int, float)):
        return 1, value, []
    return (0, 0, []) if value is None else (2, 0, natural_sort_key(str(value)))


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted name and value of every setting that distinguishes methods."""
    for key, value in config.items():
        if not prefix and key in NON_METHOD_SETTINGS:
            continue
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
