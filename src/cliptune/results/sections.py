"""Sections of the page about findings: backgrounds, classes, learned context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cliptune.analysis.scenes import CONDITIONS
from cliptune.results import reliance as kept
from cliptune.results.classes import ByClass, most_changed, most_confused
from cliptune.results.context import InWords
from cliptune.results.entries import Sheet, number, text
from cliptune.results.panels import NO_PLACE
from cliptune.results.reliance import MORE, Measured
from cliptune.results.sampling import wilson
from cliptune.results.table import title

#: Columns of the table of reliance.
COLUMNS = (*CONDITIONS, "drop", "energy", "pointing")
#: With more methods than this, tables by class show the first of them only.
METHODS = 12
#: What stands in brackets after a share.
INTERVAL = "95 % interval (Wilson)"
#: A change of this many points gets all of its colour.
FULL = 50


def reliance(measured: Mapping[str, Sequence[Measured]], order: Sequence[str]) -> tuple[list[Sheet], list[tuple]]:
    """A table for all that was measured alike, and what its columns mean."""
    placed = {label: measured[label] for label in [*order, *measured] if label in measured}
    sheets = []
    for table in kept.tables(placed):
        data, test, masks, saliency = table.heading
        pictures = " or ".join(map(str, table.pictures))
        areas = [values["area"] for *_, values in table.rows if values["area"] is not None]
        caption = f"{title(test)} of {data}, {pictures} pictures, percent; masks from {masks}; Grad-CAM of the "
        caption += f"{saliency} class" + (f"; {areas[0]:.0f} % of the area is object" if areas else "")
        if any(values["energy"] is None for *_, values in table.rows):
            caption += f"; – where there is {NO_PLACE}"
        several = any(n > 1 for _, n, _ in table.rows)
        head = [("method", False), *([("seeds", True)] if several else []), *((name, True) for name in COLUMNS)]
        rows = []
        for label, n, values in table.rows:
            cells = [number(values[c], error=table.errors.get(label) if c == "drop" else None) for c in COLUMNS]
            rows.append((text(label), *([number(n, digits=0)] if several else []), *cells))
        sheets.append(Sheet(caption, tuple(head), tuple(rows)))
    return sheets, [(name, {**CONDITIONS, **MORE}[name]) for name in COLUMNS] if sheets else []


@dataclass(frozen=True)
class ClassSheets:
    """Tables about the classes of one test set, either perhaps None."""

    changes: Sheet | None
    confused: Sheet | None


def by_class(one: ByClass, order: Sequence[str]) -> ClassSheets:
    """Where methods differ from zero-shot, and what they take for what."""
    methods = [m for m in order if m in one.counts and m != one.untuned]
    methods = [*methods, *(m for m in one.counts if m not in methods and m != one.untuned)]
    left = f" The first {METHODS} of {len(methods)} methods." if len(methods) > METHODS else ""
    methods = methods[:METHODS]
    shown = ByClass(one.name, one.classnames, one.untuned, {m: one.counts[m] for m in (one.untuned, *methods)})
    return ClassSheets(_changes(shown, methods, left), _confused(shown, methods, left))


def _changes(one: ByClass, methods: Sequence[str], left: str) -> Sheet | None:
    chosen = most_changed(one)
    if not chosen:
        return None
    changes = {method: one.changes(method) for method in methods}
    of = (
        f"the {len(chosen)} of {len(one.classnames)} classes that change most"
        if len(chosen) < len(one.classnames)
        else "each class"
    )
    caption = f"{title(one.name)}: accuracy on {of}, in percent, with its {INTERVAL}.{left}"
    rows = []
    for i in chosen:
        tints = [max(-1, min(1, changes[m][i] / FULL)) for m in methods]
        cells = [
            number(one.right(m, i), digits=0, interval=one.interval(m, i), tint=tint)
            for m, tint in zip((one.untuned, *methods), (0.0, *tints), strict=True)
        ]
        rows.append((text(one.classnames[i]), number(one.images(i), digits=0), *cells))
    head = (("class", False), ("images", True), (one.untuned, True), *((m, True) for m in methods))
    return Sheet(caption, head, tuple(rows))


def _confused(one: ByClass, methods: Sequence[str], left: str) -> Sheet | None:
    mixes = most_confused(one)
    if not mixes:
        return None
    caption = f"{title(one.name)}: images of one class that are taken for another, percent of the class's images, with "
    caption += f"its {INTERVAL}.{left}"
    rows = []
    for mix in mixes:
        pair, images = f"{one.classnames[mix.true]} → {one.classnames[mix.taken]}", one.images(mix.true)
        shares = [
            number(mix.share[m], digits=0, interval=wilson(one.counts[m][mix.true][mix.taken], images), tint=tint)
            for m in (one.untuned, *methods)
            for tint in [-mix.share[m] / 100]
        ]
        rows.append((text(pair), number(images, digits=0), *shares))
    head = (("class → answer", False), ("images", True), *((m, True) for m in (one.untuned, *methods)))
    return Sheet(caption, head, tuple(rows))


@dataclass(frozen=True)
class Learned:
    """A method's context as a line of its vectors' nearest words, and a table with distances."""

    method: str
    line: str
    sheet: Sheet


def words(found: Sequence[InWords]) -> list[Learned]:
    """For each method its context in words."""
    made = []
    for one in found:
        rows = []
        for i, (near, like) in enumerate(zip(one.euclidean, one.cosine, strict=True)):
            said = [", ".join(f"{word} {value:.2f}" for word, value in row) for row in (near, like)]
            rows.append((number(i + 1, digits=0), *map(text, said)))
        head = (("vector", True), ("nearest by Euclidean distance", False), ("nearest by cosine", False))
        line = " · ".join(row[0][0] for row in one.euclidean if row)
        made.append(Learned(one.method, line, Sheet(f"{one.method}: {len(rows)} vectors", head, tuple(rows))))
    return made
