"""The report of `cliptune masks check` as text, JSON and contact sheet."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import shrink
from cliptune.masks.source import MaskProblem, MaskSource
from cliptune.masks.statistics import MaskStatistics, find_outliers, mean_by_class
from cliptune.report.contact_sheet import SheetSection, Tile, contact_sheet_png
from cliptune.report.overlay import MAX_SHORT_SIDE
from cliptune.types import DecodedImage

QUANTILES = (5, 25, 50, 75, 95)
BINS = 10
BAR = 32  # characters of the longest bar
NAMED = 5  # images or classes per line
ROW = 6  # tiles per row


@dataclass(frozen=True)
class MaskReport:
    """Statistics of the masks of `spec` on a split, compared with those of `against` if given, and the faulty masks."""

    spec: str
    against: str
    data: str
    split: str
    classnames: tuple[str, ...]
    rows: tuple[MaskStatistics, ...]
    faults: tuple[MaskProblem, ...]

    @property
    def total(self) -> int:
        return len(self.rows) + len(self.faults)

    @property
    def mean_iou(self) -> float:
        return float(np.mean([_iou(row) for row in self.rows]))


def report_dict(report: MaskReport) -> dict[str, Any]:
    """The report as plain JSON values; shares are in [0, 1]."""
    shares = [row.share for row in report.rows]
    classes = {report.classnames[k]: v for k, v in mean_by_class(report.rows, _share).items()}
    agreement = None
    if report.against and report.rows:
        agreement = {
            "with": report.against,
            "mean": report.mean_iou,
            "classes": {report.classnames[k]: v for k, v in mean_by_class(report.rows, _iou).items()},
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
        "outliers": [
            {"key": row.key, "share": row.share, "class": class_share}
            for row, class_share in find_outliers(report.rows)
        ],
        "faults": [{"key": fault.key, "kind": fault.kind, "text": fault.text} for fault in report.faults],
        "classes": classes,
        "agreement": agreement,
    }


def report_lines(report: MaskReport) -> list[str]:
    """The report as lines for a terminal."""
    lines = [f"masks {report.spec} of {report.data}, {report.split}: {len(report.rows)} of {report.total} images"]
    for kind in dict.fromkeys(fault.kind for fault in report.faults):
        problems = [fault for fault in report.faults if fault.kind == kind]
        lines += [f"{kind:<13}{_list_keys([fault.key for fault in problems])}", f"{'':<13}{problems[0].text}"]
    if not report.rows:
        return lines
    shares = [row.share for row in report.rows]
    low, quarter, median, three, high = (_percent(np.percentile(shares, q)) for q in QUANTILES)
    lines.append(
        f"{'foreground':<13}mean {_percent(np.mean(shares))}, median {median}, half of them {quarter} to {three}, "
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
        lines.append(f"{name:<13}{_list_keys(keys)}")
    outliers = [
        f"{row.key} {_percent(row.share)} (its class {_percent(class_share)})"
        for row, class_share in find_outliers(report.rows)
    ]
    if outliers:
        lines.append(f"{'unlike class':<13}{_list_keys(outliers)}")
    lines += _extreme_classes(report, "foreground", _share, _percent)
    if report.against:
        lines.append(f"{'agreement':<13}mean IoU {report.mean_iou:.3f} with {report.against}")
        lines += _extreme_classes(report, "agreement", _iou, lambda x: f"{x:.2f}")
        worst = [f"{row.key} {_iou(row):.2f}" for row in sorted(report.rows, key=_iou)[:NAMED]]
        lines.append(f"{'least alike':<13}{', '.join(worst)}")
    return lines


def mask_sheet_png(
    report: MaskReport, examples: ExampleSet, source: MaskSource, against: MaskSource | None, rng: random.Random
) -> bytes:
    """Draw masks over their images as PNG, the worst first."""
    rows = list(report.rows)

    def tile(row: MaskStatistics) -> Tile:
        image, example = examples.image(row.index), examples.examples[row.index]
        masks = [examples.mask(row.index, source)] + ([] if against is None else [against.mask(example, image)])
        iou = "" if row.iou is None else f", IoU {row.iou:.2f}"
        title = f"{report.classnames[row.label]} {_percent(row.share)}{iou}"
        decoded = [shrink(DecodedImage(image.image, mask), MAX_SHORT_SIDE) for mask in masks]
        return Tile(decoded[0].image, tuple(one.mask for one in decoded), title, row.key)

    def section(heading: str, chosen: Sequence[MaskStatistics]) -> SheetSection:
        return SheetSection(heading, tuple(tile(row) for row in chosen), dim=True)

    if against is not None:
        by_iou = sorted(rows, key=_iou)
        sections = [section("agree least", by_iou[: 2 * ROW]), section("agree most", by_iou[::-1][:ROW])]
    else:
        order, outliers = sorted(rows, key=_share), [row for row, _ in find_outliers(rows)]
        sections = [
            section("least foreground", order[:ROW]),
            section("most foreground", order[::-1][:ROW]),
            section("unlike the others of their class", outliers[:ROW]),
        ]
    sections.append(section("at random", rng.sample(rows, min(2 * ROW, len(rows)))))
    title = f"masks {report.spec} of {report.data}, {report.split}"
    lines = [
        f"{len(rows)} of {report.total} images have a usable mask"
        + (f"; foreground {_percent(np.mean([row.share for row in rows]))} on average" if rows else "")
    ]
    if report.against:
        lines.append(f"white: {report.spec}; orange: {report.against}; mean IoU {report.mean_iou:.3f}" if rows else "")
    return contact_sheet_png(title, lines, sections, columns=ROW)


def _extreme_classes(
    report: MaskReport, what: str, value: Callable[[MaskStatistics], float], format_value: Callable[[float], str]
) -> list[str]:
    """A line with the classes that have the lowest and highest mean of a value; empty for one class."""
    means = [(report.classnames[label], mean) for label, mean in mean_by_class(report.rows, value).items()]
    if len(means) < 2:
        return []
    ends = (("least", means[: min(3, len(means) // 2)]), ("most", means[::-1][: min(3, len(means) // 2)]))
    phrases = [f"{end} in {', '.join(f'{name} {format_value(mean)}' for name, mean in some)}" for end, some in ends]
    return [f"{'by class':<13}{what} {'; '.join(phrases)}"]


def _histogram(shares: Sequence[float]) -> list[int]:
    return np.histogram(shares, BINS, (0, 1))[0].tolist()


def _list_keys(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:NAMED]) + (", ..." if len(keys) > NAMED else "")
    return f"{len(keys)}{': ' if keys else ''}{shown}"


def _percent(share: Any) -> str:
    return f"{100 * float(share):.1f} %"


def _share(row: MaskStatistics) -> float:
    return row.share


def _iou(row: MaskStatistics) -> float:
    return 0.0 if row.iou is None else row.iou
