"""What `cliptune masks check` found, as text, as JSON and as a contact sheet."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import shrunk
from cliptune.masks.base import Fault, MaskSource
from cliptune.masks.check import Measured, by_class, outliers
from cliptune.results.overlay import SHARP
from cliptune.results.sheet import Section, Tile, sheet_png
from cliptune.types import Picture

QUANTILES = (5, 25, 50, 75, 95)
BINS = 10
BAR = 32  # characters of the longest bar
NAMED = 5  # pictures or classes in a line
ROW = 6  # tiles of a row


@dataclass(frozen=True)
class Report:
    """Masks of `spec` (and of `against`, or "") of a split: those measured, and what is wrong with the others."""

    spec: str
    against: str
    data: str
    split: str
    classnames: tuple[str, ...]
    rows: tuple[Measured, ...]
    faults: tuple[Fault, ...]

    @property
    def total(self) -> int:
        return len(self.rows) + len(self.faults)

    @property
    def mean_iou(self) -> float:
        return float(np.mean([_iou(row) for row in self.rows]))


def as_dict(report: Report) -> dict[str, Any]:
    """Plain values; shares between 0 and 1."""
    shares = [row.share for row in report.rows]
    classes = {report.classnames[k]: v for k, v in by_class(report.rows, _share).items()}
    agreement = None
    if report.against and report.rows:
        agreement = {
            "with": report.against,
            "mean": report.mean_iou,
            "classes": {report.classnames[k]: v for k, v in by_class(report.rows, _iou).items()},
            "pictures": {row.key: row.iou for row in sorted(report.rows, key=_iou)},
        }
    return {
        "masks": report.spec,
        "data": report.data,
        "split": report.split,
        "pictures": report.total,
        "measured": len(shares),
        "foreground": {
            "mean": float(np.mean(shares)) if shares else None,
            "quantiles": {str(q): float(np.percentile(shares, q)) for q in QUANTILES} if shares else {},
            "histogram": _histogram(shares),
        },
        "soft": float(np.mean([row.soft for row in report.rows])) if shares else None,
        "empty": [row.key for row in report.rows if row.empty],
        "full": [row.key for row in report.rows if row.full],
        "outliers": [{"key": row.key, "share": row.share, "class": middle} for row, middle in outliers(report.rows)],
        "faults": [{"key": fault.key, "kind": fault.kind, "text": fault.text} for fault in report.faults],
        "classes": classes,
        "agreement": agreement,
    }


def as_lines(report: Report) -> list[str]:
    """For a terminal."""
    lines = [f"masks {report.spec} of {report.data}, {report.split}: {len(report.rows)} of {report.total} pictures"]
    for kind in dict.fromkeys(fault.kind for fault in report.faults):
        found = [fault for fault in report.faults if fault.kind == kind]
        lines += [f"{kind:<13}{_named([fault.key for fault in found])}", f"{'':<13}{found[0].text}"]
    if not report.rows:
        return lines
    shares = [row.share for row in report.rows]
    low, quarter, middle, three, high = (_percent(np.percentile(shares, q)) for q in QUANTILES)
    lines.append(
        f"{'foreground':<13}mean {_percent(np.mean(shares))}, median {middle}, half of them {quarter} to {three}, "
        f"nine in ten {low} to {high}"
    )
    soft = float(np.mean([row.soft for row in report.rows]))
    lines.append(f"{'soft':<13}{_percent(soft)} of pixels are neither black nor white")
    counts = _histogram(shares)
    for i, count in enumerate(counts):
        bar = "█" * -(-count * BAR // max(counts))
        lines.append(f"{f'{i * 10}-{i * 10 + 10} %':>11}  {bar:<{BAR}} {count}")
    for name, keys in (
        ("empty", [row.key for row in report.rows if row.empty]),
        ("full", [row.key for row in report.rows if row.full]),
    ):
        lines.append(f"{name:<13}{_named(keys)}")
    apart = [f"{row.key} {_percent(row.share)} (its class {_percent(m)})" for row, m in outliers(report.rows)]
    if apart:
        lines.append(f"{'unlike class':<13}{_named(apart)}")
    lines += _classes(report, "foreground", _share, _percent)
    if report.against:
        lines.append(f"{'agreement':<13}mean IoU {report.mean_iou:.3f} with {report.against}")
        lines += _classes(report, "agreement", _iou, lambda x: f"{x:.2f}")
        worst = [f"{row.key} {_iou(row):.2f}" for row in sorted(report.rows, key=_iou)[:NAMED]]
        lines.append(f"{'least alike':<13}{', '.join(worst)}")
    return lines


def sheet(report: Report, examples: ExampleSet, against: MaskSource | None, rng: random.Random) -> bytes:
    """PNG of the masks over their pictures, what is worst first."""
    rows = list(report.rows)

    def tile(row: Measured) -> Tile:
        picture, example = examples.picture(row.index), examples.examples[row.index]
        masks = [examples.mask(row.index)] + ([] if against is None else [against.mask(example, picture)])
        agreed = "" if row.iou is None else f", IoU {row.iou:.2f}"
        title = f"{report.classnames[row.label]} {_percent(row.share)}{agreed}"
        small = [shrunk(Picture(picture.image, mask), SHARP) for mask in masks]
        return Tile(small[0].image, tuple(one.mask for one in small), title, row.key)

    def section(heading: str, chosen: Sequence[Measured]) -> Section:
        return Section(heading, tuple(tile(row) for row in chosen), dim=True)

    if against is not None:
        alike = sorted(rows, key=_iou)
        sections = [section("agree least", alike[: 2 * ROW]), section("agree most", alike[::-1][:ROW])]
    else:
        order, apart = sorted(rows, key=_share), [row for row, _ in outliers(rows)]
        sections = [
            section("least foreground", order[:ROW]),
            section("most foreground", order[::-1][:ROW]),
            section("unlike the others of their class", apart[:ROW]),
        ]
    sections.append(section("at random", rng.sample(rows, min(2 * ROW, len(rows)))))
    title = f"masks {report.spec} of {report.data}, {report.split}"
    words = [
        f"{len(rows)} of {report.total} pictures have a usable mask"
        + (f"; foreground {_percent(np.mean([row.share for row in rows]))} on average" if rows else "")
    ]
    if report.against:
        words.append(f"white: {report.spec}; orange: {report.against}; mean IoU {report.mean_iou:.3f}" if rows else "")
    return sheet_png(title, words, sections, columns=ROW)


def _classes(
    report: Report, what: str, value: Callable[[Measured], float], written: Callable[[float], str]
) -> list[str]:
    """The classes with the least and the most of a value, where there are several."""
    means = [(report.classnames[label], mean) for label, mean in by_class(report.rows, value).items()]
    if len(means) < 2:
        return []
    ends = (("least", means[: min(3, len(means) // 2)]), ("most", means[::-1][: min(3, len(means) // 2)]))
    said = [f"{end} in {', '.join(f'{name} {written(mean)}' for name, mean in some)}" for end, some in ends]
    return [f"{'by class':<13}{what} {'; '.join(said)}"]


def _histogram(shares: Sequence[float]) -> list[int]:
    return np.histogram(shares, BINS, (0, 1))[0].tolist()


def _named(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:NAMED]) + (", ..." if len(keys) > NAMED else "")
    return f"{len(keys)}{': ' if keys else ''}{shown}"


def _percent(share: Any) -> str:
    return f"{100 * float(share):.1f} %"


def _share(row: Measured) -> float:
    return row.share


def _iou(row: Measured) -> float:
    return 0.0 if row.iou is None else row.iou
