"""What a search found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cliptune.config import RunConfig
from cliptune.html_repr import html_repr
from cliptune.results.row_tables import to_table
from cliptune.tuning.rows import TrialRow, best_row
from cliptune.tuning.space import Dimension

#: The file of the best settings.
PRESET = "best.yaml"


@dataclass(frozen=True, repr=False)
class TuneResult:
    """The result of a search.

    Attributes:
        run: The configuration with the best settings.
        rows: The trials, of which the first has the settings that the search started from.
        space: The settings that were searched.
        importance: Share of each setting in the difference between good trials and others (PED-ANOVA, Watanabe et al.,
            IJCAI 2023); empty with fewer than 10 complete trials.
        images: Number of images that trials were scored on.
        split: These images in words, such as "5-fold cross-validation over 40 images".
        out: The folder of `best.yaml`, `trials.csv`, `report.html` and the study.
    """

    run: RunConfig
    rows: tuple[TrialRow, ...]
    space: tuple[Dimension, ...]
    importance: Mapping[str, float]
    images: int
    split: str
    out: Path

    def __repr__(self) -> str:
        return f"<TuneResult of {len(self.rows)} trials: {self.best}; {self.preset}>"

    def _repr_html_(self) -> str:
        return html_repr(self, "runs:search_html")

    @property
    def best(self) -> TrialRow:
        """The trial with the best validation accuracy."""
        return best_row(self.rows)

    @property
    def default(self) -> TrialRow:
        """The trial of the settings that the search started from."""
        return next(row for row in self.rows if row.default)

    @property
    def settings(self) -> dict[str, Any]:
        """The best settings by name."""
        return dict(self.best.settings)

    @property
    def accuracy(self) -> float:
        """Accuracy of the best trial in percent. It is optimistic, as the best of many was chosen by it."""
        assert self.best.accuracy is not None
        return self.best.accuracy

    @property
    def preset(self) -> Path:
        """The file of the best settings for `--preset`."""
        return self.out / PRESET

    @property
    def trials(self) -> Any:
        """The table of trials: a `pandas.DataFrame` if pandas is installed, otherwise a plain one."""
        return to_table(*table_of(self.rows, self.space))

    def count(self, state: str) -> int:
        """Number of trials in a state: "complete", "pruned" or "failed"."""
        return sum(row.state == state for row in self.rows)


def table_of(rows: Sequence[TrialRow], space: Sequence[Dimension]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of the table of trials."""
    names = [one.name for one in space]
    columns = ["trial", "state", "accuracy", "seconds", *names, "default", "reason"]
    content = [
        {
            **{"trial": row.number, "state": row.state, "accuracy": row.accuracy, "seconds": row.seconds},
            **{name: row.settings.get(name) for name in names},
            **{"default": row.default, "reason": row.reason},
        }
        for row in rows
    ]
    return columns, content
