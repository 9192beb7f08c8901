"""Tables of the page that need checkpoints or files next to records: backgrounds, classes, learned context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cliptune.analysis.background_conditions import CONDITIONS
from cliptune.analysis.class_accuracy import wilson_interval
from cliptune.report.confusion import ConfusionCounts, most_changed_classes, most_confused_pairs
from cliptune.report.html_table import HtmlTable, number_cell, text_cell
from cliptune.report.reliance_records import EXTRA_COLUMNS, RelianceRecord, tabulate_reliance
from cliptune.report.report_data import NO_GRADCAM, PromptWords
from cliptune.results.formatting import column_title

#: Columns of the table of background reliance.
RELIANCE_COLUMNS = (*CONDITIONS, "drop", "energy", "pointing")
#: Tables per class show at most this many methods.
MAX_METHODS = 12
#: Name of the interval in brackets after a share.
INTERVAL_NAME = "95 % interval (Wilson)"
#: Change in points at which a cell has the full colour.
FULL_TINT_POINTS = 50


def reliance_tables(
    measured: Mapping[str, Sequence[RelianceRecord]], order: Sequence[str]
) -> tuple[list[HtmlTable], list[tuple]]:
    """One table per measurement setting, and the meanings of its columns."""
    ordered = {label: measured[label] for label in [*order, *measured] if label in measured}
    tables = []
    for table in tabulate_reliance(ordered):
        data, test, masks, saliency = table.heading
        images = " or ".join(map(str, table.images))
        areas = [values["area"] for *_, values in table.rows if values["area"] is not None]
        caption = f"{column_title(test)} of {data}, {images} images, percent; masks from {masks}; Grad-CAM of the "
        caption += f"{saliency} class" + (f"; objects cover {areas[0]:.0f} % of the area" if areas else "")
        if any(values["energy"] is None for *_, values in table.rows):
            caption += f"; –: {NO_GRADCAM}"
        several = any(n > 1 for _, n, _ in table.rows)
        numeric = [*(["seeds"] if several else []), *RELIANCE_COLUMNS]
        head = [("method", False), *((name, True) for name in numeric)]
        rows = []
        for label, n, values in table.rows:
            cells = [
                number_cell(values[c], error=table.errors.get(label) if c == "drop" else None) for c in RELIANCE_COLUMNS
            ]
            rows.append((text_cell(label), *([number_cell(n, digits=0)] if several else []), *cells))
        tables.append(HtmlTable(caption, tuple(head), tuple(rows)))
    return tables, [(name, {**CONDITIONS, **EXTRA_COLUMNS}[name]) for name in RELIANCE_COLUMNS] if tables else []


@dataclass(frozen=True)
class ClassTables:
    """Tables about the classes of one test set; either may be None."""

    changes: HtmlTable | None
    confused: HtmlTable | None


def class_tables(confusion: ConfusionCounts, order: Sequence[str]) -> ClassTables:
    """Tables of the classes that change most from zero-shot, and of the pairs that are confused most."""
    methods = [m for m in order if m in confusion.counts and m != confusion.untuned]
    methods = [*methods, *(m for m in confusion.counts if m not in methods and m != confusion.untuned)]
    note = f" Only the first {MAX_METHODS} of {len(methods)} methods are shown." if len(methods) > MAX_METHODS else ""
    methods = methods[:MAX_METHODS]
    shown = replace(confusion, counts={m: confusion.counts[m] for m in (confusion.untuned, *methods)})
    return ClassTables(_changes_table(shown, methods, note), _confusion_table(shown, methods, note))


def _changes_table(confusion: ConfusionCounts, methods: Sequence[str], note: str) -> HtmlTable | None:
    chosen = most_changed_classes(confusion)
    if not chosen:
        return None
    changes = {method: confusion.changes(method) for method in methods}
    of = (
        f"the {len(chosen)} of {len(confusion.classnames)} classes that change most"
        if len(chosen) < len(confusion.classnames)
        else "each class"
    )
    caption = f"{column_title(confusion.name)}: accuracy on {of}, in percent, with the {INTERVAL_NAME}.{note}"
    rows = []
    for i in chosen:
        tints = [max(-1, min(1, changes[m][i] / FULL_TINT_POINTS)) for m in methods]
        cells = [
            number_cell(confusion.accuracy(m, i), digits=0, interval=confusion.interval(m, i), tint=tint)
            for m, tint in zip((confusion.untuned, *methods), (0.0, *tints), strict=True)
        ]
        rows.append((text_cell(confusion.classnames[i]), number_cell(confusion.images(i), digits=0), *cells))
    head = (("class", False), ("images", True), (confusion.untuned, True), *((m, True) for m in methods))
    return HtmlTable(caption, head, tuple(rows))


def _confusion_table(confusion: ConfusionCounts, methods: Sequence[str], note: str) -> HtmlTable | None:
    pairs = most_confused_pairs(confusion)
    if not pairs:
        return None
    caption = f"{column_title(confusion.name)}: images of one class predicted as another, "
    caption += f"percent of the class's images, with the {INTERVAL_NAME}.{note}"
    rows = []
    for pair in pairs:
        title = f"{confusion.classnames[pair.true]} → {confusion.classnames[pair.predicted]}"
        images = confusion.images(pair.true)
        shares = [
            number_cell(
                pair.share[m],
                digits=0,
                interval=wilson_interval(confusion.counts[m][pair.true][pair.predicted], images),
                tint=-pair.share[m] / 100,
            )
            for m in (confusion.untuned, *methods)
        ]
        rows.append((text_cell(title), number_cell(images, digits=0), *shares))
    head = (("class → prediction", False), ("images", True), *((m, True) for m in (confusion.untuned, *methods)))
    return HtmlTable(caption, head, tuple(rows))


@dataclass(frozen=True)
class PromptWordsTable:
    """A method's context: the nearest word of each vector in one line, and a table with distances."""

    method: str
    line: str
    sheet: HtmlTable


def prompt_word_tables(learned: Sequence[PromptWords]) -> list[PromptWordsTable]:
    """One table of nearest words per method."""
    tables = []
    for words in learned:
        rows = []
        for i, (near, like) in enumerate(zip(words.euclidean, words.cosine, strict=True)):
            texts = [", ".join(f"{word} {value:.2f}" for word, value in row) for row in (near, like)]
            rows.append((number_cell(i + 1, digits=0), *map(text_cell, texts)))
        head = (("vector", True), ("nearest by Euclidean distance", False), ("nearest by cosine", False))
        line = " · ".join(row[0][0] for row in words.euclidean if row)
        tables.append(
            PromptWordsTable(words.method, line, HtmlTable(f"{words.method}: {len(rows)} vectors", head, tuple(rows)))
        )
    return tables
