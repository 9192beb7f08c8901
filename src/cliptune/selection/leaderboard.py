"""The leaderboard: a row per candidate, its files, and what the time limit left out, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptune.analysis.class_accuracy import wilson_interval
from cliptune.files import write_json
from cliptune.results.row_tables import write_rows
from cliptune.selection.candidates import BASELINE
from cliptune.selection.choice import Choice
from cliptune.selection.compare import Measured
from cliptune.selection.time_limit import Budget, format_time
from cliptune.text import listed

#: Columns of the rows.
COLUMNS = (
    *("method", "accuracy", "low", "high", "correct", "images", "gain", "p", "parameters", "seconds"),
    *("folds", "finished"),
)


def is_correct(measured: Measured, labels: Mapping[str, int]) -> list[bool]:
    """Whether a finished candidate classifies each image correctly, in the order of `labels` (key -> label)."""
    predicted = measured.predicted
    return [predicted[key] == label for key, label in labels.items()]


def leaderboard_rows(measured: Sequence[Measured], labels: Mapping[str, int], choice: Choice) -> list[dict[str, Any]]:
    """A row with `COLUMNS` per candidate: finished ones by accuracy, the cheapest first of equal ones, then the others.

    `accuracy` in percent with its 95 % interval (Wilson) from `low` to `high`; `gain` over `BASELINE` in points; `p`
    as `Choice.p`. All are None for candidates that are not finished.

    labels: Key of each scored image -> label.
    """
    counts = {one.name: sum(is_correct(one, labels)) for one in measured if one.finished}
    rows = []
    for one in sorted(measured, key=lambda one: -counts.get(one.name, -1)):
        right, cells = counts.get(one.name), dict.fromkeys(COLUMNS)
        cells |= {"method": one.name, "seconds": one.seconds, "folds": len(one.results), "finished": one.finished}
        if one.results:
            cells["parameters"] = one.results[0].parameters
        if right is not None:
            low, high = wilson_interval(right, len(labels))
            gain = 100 * (right - counts[BASELINE]) / len(labels)
            cells |= {"accuracy": 100 * right / len(labels), "low": low, "high": high, "correct": right}
            cells |= {"images": len(labels), "gain": gain, "p": choice.p.get(one.name)}
        rows.append(cells)
    return rows


def write_leaderboard(folder: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write `leaderboard.csv` and `leaderboard.json`, which also has `about`."""
    write_rows(folder / "leaderboard.csv", COLUMNS, rows)
    write_json(folder / "leaderboard.json", {**about, "rows": list(rows)})


def describe_left_out(measured: Sequence[Measured], budget: Budget, spent: float) -> str:
    """What the time limit left out and the limit that would suffice, in a sentence; "" if that is nothing.

    spent: Seconds spent on the comparison.
    """
    out = [one for one in measured if not one.finished and not one.problem]
    if not out:
        return ""
    names = listed(
        (f"{one.name} ({len(one.results)} of {one.folds} folds)" if one.results else one.name for one in out), 20
    )
    known = [one.missing_seconds for one in out if one.missing_seconds is not None]
    unknown = [one.name for one in out if one.missing_seconds is None]
    sentence = f"left out by the time limit of {format_time(budget.limit)}: {names}"
    if not known:
        return f"{sentence}; their time is not known, as none was begun"
    most = max(known)  # a guess for those that were not begun
    last = max(most / max(1, one.folds - len(one.results)) for one in out)
    needed = spent + sum(known) + most * len(unknown) + max(budget.reserve, last)
    guess = (
        f", if {listed(unknown, 20)} take{'s' * (len(unknown) == 1)} as long as the slowest other" if unknown else ""
    )
    return f"{sentence}; a limit of about {format_time(1.1 * needed)} would suffice{guess}"
