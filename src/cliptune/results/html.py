"""One self-contained page about a set of results: no network, no other files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from cliptune.results import about, figures
from cliptune.results.cells import called, split
from cliptune.results.entries import Sheet, of, sheet_of
from cliptune.results.figures import Plot, uri
from cliptune.results.findings import Findings
from cliptune.results.overlay import overlay_bytes, picture_bytes
from cliptune.results.panels import NOT_ASKED, Answer, Panel
from cliptune.results.sections import by_class, reliance, words
from cliptune.results.summary import BACKGROUNDS, COSTS, Table, metric_names, summarise
from cliptune.results.table import folded
from cliptune.results.table import title as title_of
from cliptune.results.theme import Look, looks
from cliptune.results.variants import labelled, method_order, shots_of
from cliptune.results.verdict import verdicts
from cliptune.types import Result


@dataclass(frozen=True)
class Group:
    """What is shown apart for each data set and number of shots."""

    heading: str
    reliance: tuple[Sheet, ...]
    bars: tuple[Plot, ...]
    scatter: Plot | None
    curves: list[Plot]
    layers: list[Plot]


def render(
    results: Sequence[Result], findings: Findings | None = None, *, title: str, notes: Sequence[str] = ()
) -> str:
    """The page as HTML text; what there is no data for is left out.

    findings: what checkpoints and files beside the records add. title: the page's heading. notes: further footnotes,
    plain text. Raises `UserError` as `summarise` does.
    """
    results = labelled(sorted(results, key=lambda r: (r.data, r.method, r.seed, r.task)))
    findings = findings or Findings()
    styles, order = looks(results), method_order(results)
    main, cost = _main(results)
    groups = _groups(results, styles)
    sheet = sheet_of(main, f"Accuracy in percent{of(main)}")
    footnotes = dict.fromkeys(sheet.footnotes)
    for group in groups:
        footnotes |= dict.fromkeys(note for sheet_ in group.reliance for note in sheet_.footnotes)
    compared = {name for group in groups for sheet_ in group.reliance for name, _ in sheet_.head}
    measured, measured_meanings = reliance(findings.reliance, order)
    concluded = verdicts(results)
    environment = Environment(
        loader=PackageLoader("cliptune.results"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title=title,
        sentence=about.sentence(results),
        verdicts=concluded,
        facts=about.facts(results),
        main=sheet,
        several=len({row.data for row in main.rows}) > 1,
        shots=figures.by_shots(results, styles),
        cost=cost,
        groups=groups,
        measured=measured,
        measured_meanings=measured_meanings,
        classes=[by_class(one, order) for one in findings.classes],
        confusions=figures.confusions(findings.classes, results, styles),
        task=findings.task,
        panels=[_pictured(panel) for panel in findings.panels],
        answering=_answering(results, findings.panels),
        not_asked=NOT_ASKED,
        words=words(findings.words),
        shifts=figures.shifts(findings.shifts, styles),
        looks=styles,
        meanings=[(title_of(k), about.MEANINGS[k]) for k in (*folded(main)[0], *main.columns) if k in about.MEANINGS],
        cost_meanings=[(title_of(k), about.MEANINGS[k]) for k in COSTS if cost and (title_of(k), True) in cost.head],
        background_meanings=[pair for pair in about.BACKGROUND_MEANINGS.items() if pair[0] in compared],
        footnotes=[*footnotes, *about.cautions(results), *findings.notes, *notes],
    )


def _main(results: Sequence[Result]) -> tuple[Table, Sheet | None]:
    """Accuracy at the end of training, whatever has a section of its own left out; and what it cost."""
    apart = {
        f"{part}{suffix}" for part in ("hm", *_parts(results)) for suffix in (*BACKGROUNDS.values(), "/gap") if suffix
    }
    names = [name for name in metric_names(results) if name not in apart and "@" not in name]
    spent = summarise(results, [], cost=True)
    said = (
        f"Cost of one run, mean over seeds{of(spent)}" if any(r.seeds > 1 for r in spent.rows) else f"Cost{of(spent)}"
    )
    return summarise(results, names), sheet_of(spent, said) if spent.columns else None


def _split_up(results: Sequence[Result]) -> dict[tuple[str, int | None], list[Result]]:
    """Results by data set and shots."""
    split: dict[tuple[str, int | None], list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda r: (r.data, -1 if (s := shots_of(r)) is None else s)):
        split[result.data, shots_of(result)].append(result)
    return split


def _groups(results: Sequence[Result], styles: Mapping[str, Look]) -> list[Group]:
    apart = _split_up(results)
    groups = []
    for (data, shots), runs in apart.items():
        words = data if shots is None else f"{data}, {'all' if shots == 0 else shots} shot{'' if shots == 1 else 's'}"
        heading = words if len(apart) > 1 else ""
        parts = _parts(runs)
        seen = tuple(_by_background(runs, part) for part in parts)
        bars = tuple(plot for part in parts if (plot := figures.bars(runs, styles, part)))
        groups.append(
            Group(
                *(heading, seen, bars, figures.scatter(runs, styles, heading)),
                *(figures.curves(runs, styles), figures.layers(runs, styles)),
            )
        )
    return groups


def _by_background(results: Sequence[Result], part: str) -> Sheet:
    known = metric_names(results)
    columns = [part + suffix for suffix in (*BACKGROUNDS.values(), "/gap") if part + suffix in known]
    table = summarise(results, columns)
    return sheet_of(table, f"Accuracy on {part} by background, in percent{of(table)}", _background)


def _parts(results: Sequence[Result]) -> list[str]:
    """Test sets that were seen on more than one background."""
    known = metric_names(results)
    parts = dict.fromkeys(split(name)[0] for name in known if not name.startswith("hm"))
    return [part for part in parts if sum(part + suffix in known for suffix in BACKGROUNDS.values()) > 1]


def _background(column: str) -> str:
    """A background's name, as the heading of a column."""
    return called(column).partition("/")[2] or next(iter(BACKGROUNDS))


def _pictured(panel: Panel) -> dict[str, object]:
    """A panel with its pictures as data URIs; answers by method."""

    def seen(answer: Answer) -> str | None:
        if answer.saliency is None:
            return None
        return uri("jpeg", overlay_bytes(panel.image, answer.saliency, panel.mask, kind="jpeg"))

    answers = {answer.method: (answer, seen(answer), panel.turned(answer)) for answer in panel.answers}
    return {
        "title": panel.title,
        "label": title_of(panel.label),
        "picture": uri("jpeg", picture_bytes(panel.image, panel.mask, kind="jpeg")),
        "answers": answers,
        "outlined": panel.mask is not None,
        "compared": any(turned for *_, turned in answers.values()),
    }


def _answering(results: Sequence[Result], panels: Sequence[Panel]) -> list[str]:
    """Methods that answer in some panel: as they come those that no table has, then the others in their order."""
    there = dict.fromkeys(answer.method for panel in panels for answer in panel.answers)
    return [m for m in there if m not in method_order(results)] + [m for m in method_order(results) if m in there]
