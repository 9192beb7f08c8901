"""Published results with their sources (`published.csv`), alone or next to measured results."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from cliptune.errors import UserError
from cliptune.registry import nearest
from cliptune.results.formatting import DIFFERENCE_SUFFIX, PUBLISHED_SUFFIX, metric_of
from cliptune.results.labels import get_setting, label_methods, natural_sort_key, num_shots
from cliptune.results.summary import AVERAGE, Cell, Row, Table
from cliptune.types import Result

#: The datasets that averages in the papers are over.
BENCHMARK_DATASETS = frozenset(
    "imagenet caltech101 oxford_pets stanford_cars oxford_flowers food101 fgvc_aircraft sun397 dtd eurosat "
    "ucf101".split()
)
#: Names of the same weights; OpenAI's were trained with QuickGELU.
BACKBONE_ALIASES = {"ViT-B-16-quickgelu/openai": "ViT-B-16/openai"}
#: Methods without training, whose number of shots does not matter.
TRAINING_FREE = ("zeroshot", "cupl")
#: Metric of transfer protocols that depends on which targets were tested.
TARGET_AVERAGE = "average"


@dataclass(frozen=True)
class PublishedResult:
    """One published value.

    Args:
        method: the name in cliptune if the method exists here, else as printed.
        printed: the name in the source.
        data: the dataset name in cliptune if it exists here; "average" is over `BENCHMARK_DATASETS`.
        protocol: "base_to_novel", "few_shot", "cross_dataset" or "domain_generalization".
        shots: training images per class; 0 for methods without training images.
        backbone: "<architecture>/<weights>".
        metric: as in result tables.
        value: accuracy in percent.
        source: paper or repository.
        note: deviations from the usual setting, such as "transductive" or "epoch chosen on test images".
    """

    method: str
    printed: str
    data: str
    protocol: str
    shots: int
    backbone: str
    metric: str
    value: float
    source: str
    note: str


CSV_FIELDS = tuple(field.name for field in dataclasses.fields(PublishedResult))


def load_published() -> tuple[PublishedResult, ...]:
    """Read all published results."""
    text = files("cliptune.results").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedResult(**{**line, "shots": int(line["shots"]), "value": float(line["value"])})  # type: ignore[arg-type]
        for line in csv.DictReader(io.StringIO(text))
    )


def select_published(
    methods: Sequence[str] = (), data: Sequence[str] = (), protocol: str = ""
) -> list[PublishedResult]:
    """Select published results by methods (names here or as printed, with re-runs by others), datasets and protocol.

    Empty arguments select all. Raises `UserError` with the nearest names for an unknown name.
    """
    found = list(load_published())
    for name in methods:
        if not any(_matches_method(line, name) for line in found):
            raise _unknown_name("method", name, {n for line in found for n in (line.method, line.printed)})
    for name in data:
        if name not in {line.data for line in found}:
            raise _unknown_name("data set", name, {line.data for line in found})
    wanted = protocol.replace("-", "_")
    if wanted and wanted not in {line.protocol for line in found}:
        raise _unknown_name("protocol", wanted, {line.protocol for line in found})
    return [
        line
        for line in found
        if (not methods or any(_matches_method(line, name) for name in methods))
        and (not data or line.data in data)
        and wanted in ("", line.protocol)
    ]


def published_csv(lines: Sequence[PublishedResult]) -> str:
    """Format as CSV like the file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for line in lines:
        writer.writerow([f"{v:.2f}" if isinstance(v := getattr(line, f), float) else v for f in CSV_FIELDS])
    return out.getvalue()


def add_published(table: Table, results: Sequence[Result], apart: Sequence[str] = ()) -> Table:
    """Add two columns after each metric: the published value for the same method, data, protocol, shots and backbone,
    and the difference from it. Footnotes name the sources, or the reason why there are none.

    `results` and `apart` are those of the table.
    """
    named, lines = label_methods(results, apart), load_published()
    used: dict[str, None] = {}
    rows: list[list[Cell | None]] = []
    for row in table.rows:
        cells: list[Cell | None] = []
        for column, cell in zip(table.columns, row.cells, strict=True):
            line = (
                None
                if cell is None
                else _find_published(lines, row, metric_of(row, column), _runs_of(row, named, table, apart))
            )
            cells.append(cell)
            if cell is None or line is None:
                cells += [None, None]
                continue
            used[line.source + (f" ({line.printed}, {line.data}: {line.note})" if line.note else "")] = None
            cells += [Cell(line.value, None, row.seeds), Cell(cell.mean - line.value, None, row.seeds)]
        rows.append(cells)
    keep = [i for i in range(3 * len(table.columns)) if i % 3 == 0 or any(cells[i] is not None for cells in rows)]
    heads = [column + end for column in table.columns for end in ("", PUBLISHED_SUFFIX, DIFFERENCE_SUFFIX)]
    notes = (
        [
            "Published: ViT-B/16 with OpenAI's weights, mean over three seeds unless the source says otherwise; "
            "difference: ours minus that.",
            f"Sources: {'; '.join(used)}.",
        ]
        if used
        else [f"No comparable published results: {_missing_reason(named, lines)}."]
    )
    extended = [
        dataclasses.replace(row, cells=tuple(cells[i] for i in keep))
        for row, cells in zip(table.rows, rows, strict=True)
    ]
    columns = tuple(heads[i] for i in keep)
    return dataclasses.replace(table, columns=columns, rows=tuple(extended), footnotes=(*table.footnotes, *notes))


def comparison_key(result: Result) -> tuple[str, str, str, str]:
    """Method, data, protocol and backbone of a result by their names in `published.csv`."""
    config = result.config
    backbone = result.provenance.get("backbone") or "/".join(
        str(config[key]) for key in ("backbone", "pretrained") if config.get(key)
    )
    protocol = str(config.get("protocol", "")).replace("-", "_")
    return result.method.split(" (")[0], result.data, protocol, BACKBONE_ALIASES.get(str(backbone), str(backbone))


def _runs_of(row: Row, named: Sequence[Result], table: Table, apart: Sequence[str]) -> list[Result]:
    """The runs that a row summarises; none for an average over other datasets than `BENCHMARK_DATASETS`."""
    if row.data == AVERAGE and {other.data for other in table.rows} - {AVERAGE} != BENCHMARK_DATASETS:
        return []
    own = [r for r in named if r.method == row.method and num_shots(r) == row.shots and row.data in (r.data, AVERAGE)]
    return [r for r in own if all(get_setting(r, key) == value for key, value in row.more.items() if key in apart)]


def _find_published(
    lines: Sequence[PublishedResult], row: Row, metric: str, runs: Sequence[Result]
) -> PublishedResult | None:
    """The first published result that matches a row and its runs."""
    settings = {(method, protocol, backbone) for method, _, protocol, backbone in map(comparison_key, runs)}
    if len(settings) != 1:
        return None
    method, protocol, backbone = settings.pop()
    wanted = (method, row.data, protocol, backbone, metric)
    if metric == TARGET_AVERAGE and not _same_targets(lines, wanted, runs):
        return None
    for line in lines:
        same = (line.method, line.data, line.protocol, line.backbone, line.metric) == wanted
        if same and (line.shots == row.shots or method in TRAINING_FREE):
            return line
    return None


def _same_targets(lines: Sequence[PublishedResult], wanted: tuple[str, ...], runs: Sequence[Result]) -> bool:
    """Whether the runs were tested on the published targets of their protocol."""
    _, data, protocol, _, _ = wanted
    known = {line.metric for line in lines if (line.data, line.protocol) == (data, protocol)}
    return all({name for name in run.metrics if "/" not in name} == known for run in runs)


def _missing_reason(results: Sequence[Result], lines: Sequence[PublishedResult]) -> str:
    """Why no published result matches: the backbone, the protocol, the data or the methods."""
    found = [comparison_key(result) for result in results]
    for part, what, place in ((3, "backbone", "backbone"), (2, "protocol", "protocol"), (1, "data", "data")):
        known = {getattr(line, place) for line in lines}
        mine = {fact[part] for fact in found}
        if not mine & known:
            recorded = " and ".join(sorted(mine - {""}) or ["none recorded"])
            also = f"they use {' and '.join(sorted(known))}" if len(known) <= 3 else f"none uses this {what}"
            return f"{also}, these runs have {what} {recorded}"
    return "none for these methods with this data, number of shots and protocol"


def _matches_method(line: PublishedResult, name: str) -> bool:
    wanted = name.lower()
    return wanted in (line.method.lower(), line.printed.lower(), line.printed.lower().split(" (")[0])


def _unknown_name(what: str, name: str, known: set[str]) -> UserError:
    hint = nearest(name, sorted(known, key=natural_sort_key))
    return UserError(f"no published results for the {what} {name!r}; {hint}")
