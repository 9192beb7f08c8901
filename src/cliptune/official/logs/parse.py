"""Parse a `log.txt`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cliptune import plain_values

T = TypeVar("T")

#: Lines at the end of training; versions of the code differ.
END_LINES = ("Finish training", "Finished training")
NUMBER = r"[0-9]{1,20}(?:\.[0-9]{0,40})?"
ACCURACY = re.compile(rf"\* accuracy: ({NUMBER}(?:[eE][+-]?[0-9]{{1,2}})?)%")
COUNT = re.compile(r"^\* (total|correct): ([0-9,]{1,20})$")
EPOCH = re.compile(
    rf"epoch \[([0-9]{{1,9}})/([0-9]+)\].*?\bloss [\d.naif+-]+ \(({NUMBER})\)"
    rf".*?(?:\blr ({NUMBER}(?:[eE][+-]?[0-9]{{1,2}})?))?(?: eta .*)?$"
)
#: Longest line that is parsed: the patterns backtrack, so they are slow on longer ones.
MAX_LINE_LENGTH = 2000
SPLIT = re.compile(r"^Evaluate on the \*(\w+)\* set$")


@dataclass(frozen=True)
class LoggedAccuracy:
    """A printed accuracy in percent.

    printed: the number as text. trained: whether the log reported the end of training before it. total, correct: counts
    of images, if printed.
    """

    printed: str
    split: str
    trained: bool
    total: int | None = None
    correct: int | None = None

    @property
    def decimals(self) -> int:
        """Number of printed decimals."""
        return len(self.printed.partition(".")[2])

    @property
    def exact(self) -> float | None:
        """Accuracy computed from the counts; None if they are missing or contradict the printed number."""
        if not self.total or self.correct is None:
            return None
        value = 100 * self.correct / self.total
        return value if abs(value - float(self.printed)) <= 0.5001 * 10**-self.decimals else None


@dataclass(frozen=True)
class Log:
    """Content of a log. `arguments` and `config` are empty if it does not print them.

    finished: whether training finished. history: a row per epoch with "epoch" (from 0), mean "loss" and "lr".
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    tests: tuple[LoggedAccuracy, ...] = ()
    finished: bool = False
    history: tuple[Mapping[str, float], ...] = ()

    @property
    def evaluates(self) -> bool:
        """Whether the log is of an evaluation without training."""
        eval_only = self.arguments.get("eval_only")
        return eval_only == "True" if eval_only is not None else not self.history and not self.finished

    def get(self, *path: str, kind: type[T]) -> T | None:
        """A value of the configuration, by section and name; None if it is missing or of another type."""
        value: Any = self.config
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value if isinstance(value, kind) and value != "" and not isinstance(value, bool) else None


def parse_log(text: str) -> Log:
    """Parse the text of a log."""
    lines = text.splitlines()
    finished, split = False, "test"
    counts: dict[str, int] = {}
    tests: list[LoggedAccuracy] = []
    epochs: dict[int, dict[str, float]] = {}
    for line in map(str.strip, lines):
        if len(line) > MAX_LINE_LENGTH:
            continue
        if line in END_LINES:
            finished = True
        elif found := SPLIT.match(line):
            split, counts = found[1], {}
        elif found := COUNT.match(line):
            counts[found[1]] = int(found[2].replace(",", "") or 0)
        elif found := ACCURACY.search(line):
            tests.append(LoggedAccuracy(found[1], split, finished, counts.get("total"), counts.get("correct")))
            counts = {}
        elif found := EPOCH.search(line):
            row = {"epoch": float(found[1]) - 1, "loss": float(found[3])}
            epochs[int(found[1])] = row | ({"lr": float(found[4])} if found[4] else {})
    history = tuple(epochs[epoch] for epoch in sorted(epochs))
    return Log(_arguments(lines), _config(lines), tuple(tests), finished, history)


def final_accuracy(log: Log) -> tuple[LoggedAccuracy | None, str]:
    """The accuracy that the research code's own parser would use, or None and the reason."""
    if log.evaluates:
        counting = log.tests
    elif log.finished:
        counting = tuple(test for test in log.tests if test.trained)
    else:
        epochs = f" after epoch {int(log.history[-1]['epoch']) + 1}" if log.history else ""
        return None, f"unfinished: no line contains {' or '.join(map(repr, END_LINES))}{epochs}"
    if not counting:
        return None, "no line with an accuracy" + ("" if log.evaluates else " after the end of training")
    last = counting[-1]
    if last.split != "test":
        return None, f"its last accuracy is of the {last.split} split, not of the test set"
    return last, ""


def _arguments(lines: list[str]) -> dict[str, str]:
    """The lines "key: value" between the headings of arguments and configuration."""
    stripped = [line.strip() for line in lines]
    if "** Arguments **" not in stripped:
        return {}
    start = stripped.index("** Arguments **") + 1
    end = stripped.index("** Config **") if "** Config **" in stripped[start:] else len(stripped)
    pairs = (line.partition(": ") for line in stripped[start:end] if ":" in line)
    return {key: value for key, _, value in pairs if key.isidentifier()}


def _config(lines: list[str]) -> dict[str, Any]:
    """The configuration, which is printed as YAML; empty if it is missing or malformed."""
    stripped = [line.strip() for line in lines]
    if "** Config **" not in stripped:
        return {}
    block = []
    for line in lines[stripped.index("** Config **") + 2 :]:
        if not re.match(r"\s|[\w.]+:|- ", line):
            break
        block.append(line)
    try:
        content = plain_values.from_yaml("\n".join(block))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
