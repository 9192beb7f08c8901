"""Contents of a report other than records; all are optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cliptune.report.confusion import ConfusionCounts
from cliptune.report.panels import Panel
from cliptune.report.prompt_words import FeatureShift, PromptWords
from cliptune.report.reliance_records import RelianceRecord


@dataclass(frozen=True)
class ReportData:
    """Data that the page shows besides the records.

    Args:
        panels, classes, words, shifts: collected from the checkpoints of one task.
        reliance: background reliance by method, from files beside the records.
        task: a description of the task of the checkpoints.
        notes: further footnotes as plain text.
    """

    panels: Sequence[Panel] = ()
    classes: Sequence[ConfusionCounts] = ()
    words: Sequence[PromptWords] = ()
    shifts: Sequence[FeatureShift] = ()
    reliance: Mapping[str, Sequence[RelianceRecord]] = field(default_factory=dict)
    task: str = ""
    notes: Sequence[str] = ()
