"""The trials of a search as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cliptune.config import RunConfig
from cliptune.tuning.space import setting
from cliptune.tuning.study import DEFAULT, SECONDS, SharedStudy


@dataclass(frozen=True)
class TrialRow:
    """A trial: its settings by name, how it ended, and its validation accuracy in percent.

    accuracy: after training; of a pruned trial, the last measurement; None if there is none. reason: why it failed.
    default: whether its settings are those that the search started from.
    """

    number: int
    state: Literal["complete", "pruned", "failed", "running"]
    accuracy: float | None
    seconds: float | None
    settings: Mapping[str, Any]
    reason: str = ""
    default: bool = False

    def __str__(self) -> str:
        words = self.settings_text
        if self.state == "failed":
            return f"failed ({self.reason}), {words}"
        accuracy = "" if self.accuracy is None else f"{self.accuracy:.2f} %, "
        state = "" if self.state == "complete" else f"{self.state}, "
        return f"{state}{accuracy}{words}{' (the starting settings)' if self.default else ''}"

    @property
    def settings_text(self) -> str:
        """The settings in the form of options: "lr=0.01 n_ctx=4"."""
        return " ".join(f"{name}={setting_text(value)}" for name, value in self.settings.items())


def setting_text(value: Any) -> str:
    """A value in a table: numbers with five digits."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def trial_rows(study: SharedStudy, run: RunConfig) -> list[TrialRow]:
    """The trials of a study, without those that were interrupted. run: the run that the search starts from."""
    rows = []
    for trial in study.trials():
        default = DEFAULT in trial.user_attrs
        settings = {
            one.name: one.value(trial.params[one.name]) if one.name in trial.params else setting(run, one.name)
            for one in study.space
            if default or one.name in trial.params
        }
        state: Any = {"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())
        last = max(trial.intermediate_values.items(), default=(0, None))[1]
        rows.append(
            TrialRow(
                trial.number,
                "complete" if default else state,
                trial.user_attrs.get(DEFAULT, trial.value if state == "complete" else last),
                trial.user_attrs.get(SECONDS),
                settings,
                "" if default else study.reason(trial),
                default,
            )
        )
    return rows


def best_row(rows: Sequence[TrialRow]) -> TrialRow:
    """The complete trial of the best accuracy; of several, the first."""
    complete = [row for row in rows if row.state == "complete"]
    return max(complete, key=lambda row: (row.accuracy, -row.number))
