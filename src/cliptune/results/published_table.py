"""Published results as a table, with sources and notes as footnotes."""

from __future__ import annotations

from collections.abc import Sequence

from cliptune.results.published import TARGET_AVERAGE, PublishedResult
from cliptune.results.summary import Cell, Row, Table

#: Metrics that come first; then those of targets in the order of the file, and their average.
FIRST = ("base", "novel", "hm", "test", "source")


def published_table(lines: Sequence[PublishedResult]) -> Table:
    """One row per method, dataset, protocol and number of shots; it refers to footnotes with its source and notes.

    A note concerns the row, or those of its values that the footnote names.
    """
    targets = dict.fromkeys(line.metric for line in lines if line.metric not in (*FIRST, TARGET_AVERAGE))
    metrics = [name for name in (*FIRST, *targets, TARGET_AVERAGE) if any(line.metric == name for line in lines)]
    sources = {source: i for i, source in enumerate(dict.fromkeys(line.source for line in lines), 1)}
    rows: dict[tuple, dict[str, PublishedResult]] = {}
    for line in lines:
        place = (line.printed, line.data, line.protocol, line.shots, sources[line.source])
        rows.setdefault(place, {})[line.metric] = line
    notes: dict[str, str] = {}
    made = []
    for (printed, data, protocol, shots, source), values in rows.items():
        cells = tuple(Cell(values[name].value, None, 1) if name in values else None for name in metrics)
        marks = "".join(notes.setdefault(text, f"[{_letters(len(notes))}]") for text in _notes(values))
        made.append(Row(printed, data, shots, 1, cells, _more(protocol, shots, source, marks)))
    footnotes = ["As published, in percent, CLIP ViT-B/16 with OpenAI's weights."]
    footnotes += [f"[{i}] {source}." for source, i in sources.items()]
    footnotes += [f"{mark} {text}." for text, mark in notes.items()]
    keys = ("method", "data", "protocol", "shots", "reference", *(("note",) if notes else ()))
    return Table(tuple(metrics), tuple(made), tuple(footnotes), keys)


def _more(protocol: str, shots: int, source: int, marks: str) -> dict[str, str]:
    return {"protocol": protocol, "shots": str(shots), "reference": f"[{source}]", "note": marks}


def _notes(values: dict[str, PublishedResult]) -> list[str]:
    """The notes on a row's values, each with the metrics it concerns unless these are all."""
    found: dict[str, list[str]] = {}
    for metric, line in values.items():
        if line.note:
            found.setdefault(line.note, []).append(metric)
    return [note if len(own) == len(values) else f"{', '.join(own)}: {note}" for note, own in found.items()]


def _letters(number: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    head, last = divmod(number, 26)
    return (_letters(head - 1) if head else "") + chr(ord("a") + last)
