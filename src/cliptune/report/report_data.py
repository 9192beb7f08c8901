"""What a report shows beside its records: all of it may be absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cliptune.report.confusion import ConfusionCounts
from cliptune.report.panels import Panel
from cliptune.report.prompt_words import FeatureShift, PromptWords
from cliptune.report.reliance_records import RelianceRecord


@dataclass(frozen=True)
class ReportData:
    """From restored checkpoints: `panels`, `classes` of one task, `words`, `shifts`; from files beside records:
    `reliance` by method. task: in words, what the checkpoints are of. notes: further footnotes, plain text."""

    panels: Sequence[Panel] = ()
    classes: Sequence[ConfusionCounts] = ()
    words: Sequence[PromptWords] = ()
    shifts: Sequence[FeatureShift] = ()
    reliance: Mapping[str, Sequence[RelianceRecord]] = field(default_factory=dict)
    task: str = ""
    notes: Sequence[str] = ()
