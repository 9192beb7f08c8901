"""Definitions of table columns. To add a column, add an entry to `COLUMNS`: tables, CSV and the report page follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cliptune.types import Result


@dataclass(frozen=True)
class Column:
    """A column of result tables.

    Args:
        name: its name in records and CSV.
        kind: "key" columns tell rows apart, "metric" columns hold accuracies in percent, "cost" columns the rest.
        meaning: one sentence for the report page.
        title: its heading in the other formats; `name` if empty.
        text: whether it contains text, which is aligned to the left.
        decimals: decimals of a cost.
        value: computes a cost from a record, None if unknown; by default `result.cost[name]`.
    """

    name: str
    kind: Literal["key", "metric", "cost"]
    meaning: str = ""
    title: str = ""
    text: bool = False
    decimals: int = 0
    value: Callable[[Result], float | None] | None = None

    def of(self, result: Result) -> float | None:
        """The cost of one run; None if the record lacks it."""
        return result.cost.get(self.name) if self.value is None else self.value(result)


@dataclass(frozen=True)
class BackgroundVariant:
    """A variant of a test set: its name in tables, the suffix of its metric in records, and a sentence for the page."""

    name: str
    suffix: str
    meaning: str


_COLUMNS = (
    Column(
        *("method", "key", "The tuning method; a+b is method a wrapped in b. Differing settings follow in brackets."),
        text=True,
    ),
    Column("data", "key", "The dataset used for training and testing.", text=True),
    Column("shots", "key", "Training images per class; all unlabelled: all images of a pool, without their labels."),
    Column("seeds", "key", "Runs that differ only in the random seed (sampled images, initial values, order)."),
    Column("protocol", "key", text=True),
    Column("selector", "key", text=True),
    Column("metric", "key", text=True),
    Column("backbone", "key", text=True),
    Column("base", "metric", "Top-1 accuracy (percent) on test images of the training classes, among these classes."),
    Column("novel", "metric", "Top-1 accuracy (percent) on test images of the other classes, among those classes."),
    Column("hm", "metric", "Harmonic mean of base and novel: high only if both are.", title="HM"),
    Column(
        "source",
        "metric",
        "Top-1 accuracy (percent) on the training dataset; other columns name other datasets.",
    ),
    Column("test", "metric", "Top-1 accuracy (percent) on test images of all classes."),
    Column("average", "metric", "Mean over the test sets other than source."),
    Column("parameters", "cost", "Number of trained values; the backbone is frozen.", title="trainable parameters"),
    Column("seconds", "cost", "Wall-clock time of training, without testing.", decimals=1),
    Column(
        *("cpu_seconds", "cost", "CPU time of training over all threads; other load on the machine affects it less."),
        title="CPU seconds",
        decimals=1,
    ),
    Column("peak_memory_mib", "cost", "Peak memory in MiB: of the accelerator, else of the process.", title="peak MiB"),
)
#: Every column that has a title, a meaning or a format of its own, by name; costs appear in this order.
COLUMNS = {column.name: column for column in _COLUMNS}
COST_COLUMNS = {name: column for name, column in COLUMNS.items() if column.kind == "cost"}
#: Test images on other backgrounds, in the order of tables.
BACKGROUNDS = (
    BackgroundVariant("original", "", "The test image as it is."),
    BackgroundVariant("same", "/same", "The object on the background that its class usually has in training."),
    BackgroundVariant("swapped", "/swap", "The object on the usual background of another class."),
    BackgroundVariant("plain", "/none", "The object on uniform grey."),
)
GAP_MEANING = "Same minus swapped, in points: the accuracy that comes from the background. Closer to 0 is better."


def is_text(name: str) -> bool:
    """Whether a column contains text rather than numbers."""
    return name in COLUMNS and COLUMNS[name].text
