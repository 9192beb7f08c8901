"""What a report shows beside its records: all of it may be absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cliptune.results.classes import ByClass
from cliptune.results.context import InWords, Shift
from cliptune.results.panels import Panel
from cliptune.results.reliance import Measured


@dataclass(frozen=True)
class Findings:
    """From restored checkpoints: `panels`, `classes` of one task, `words`, `shifts`; from files beside records:
    `reliance` by method. task: in words, what the checkpoints are of. notes: further footnotes, plain text."""

    panels: Sequence[Panel] = ()
    classes: Sequence[ByClass] = ()
    words: Sequence[InWords] = ()
    shifts: Sequence[Shift] = ()
    reliance: Mapping[str, Sequence[Measured]] = field(default_factory=dict)
    task: str = ""
    notes: Sequence[str] = ()
