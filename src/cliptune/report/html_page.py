"""The report: one self-contained HTML page about a set of results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from cliptune.report import describe, figures
from cliptune.report.figures import EmbeddedPlot, data_uri
from cliptune.report.html_table import HtmlTable, shared_values, to_html_table
from cliptune.report.overlay import heatmap_bytes, image_bytes
from cliptune.report.own_data import calibration_table
from cliptune.report.recommendation import recommend
from cliptune.report.report_data import NO_PREDICTION, Panel, Prediction, ReportData
from cliptune.report.sections import class_tables, prompt_word_tables, reliance_tables
from cliptune.report.theme import MethodStyle, method_styles
from cliptune.results.aggregate import display_name, split_metric
from cliptune.results.columns import BACKGROUNDS, COLUMNS, COST_COLUMNS, GAP_MEANING
from cliptune.results.formatting import column_title as title_of
from cliptune.results.formatting import split_shared_keys
from cliptune.results.labels import label_methods, method_order, num_shots
from cliptune.results.summary import Table, metric_names, summarise
from cliptune.types import Result

#: Suffixes of metrics by background.
SUFFIXES = tuple(b.suffix for b in BACKGROUNDS)


@dataclass(frozen=True)
class ResultGroup:
    """The parts of the page that exist once for each dataset and number of shots."""

    heading: str
    reliance: tuple[HtmlTable, ...]
    bars: tuple[EmbeddedPlot, ...]
    scatter: EmbeddedPlot | None
    curves: list[EmbeddedPlot]
    layers: list[EmbeddedPlot]


def render_page(
    results: Sequence[Result], findings: ReportData | None = None, *, title: str, notes: Sequence[str] = ()
) -> str:
    """Render the page as HTML. Sections without data are omitted.

    Args:
        results: the records.
        findings: what was collected from checkpoints and from files next to the records.
        title: the heading of the page.
        notes: further footnotes as plain text.

    Raises:
        UserError: as `summarise`.
    """
    results = label_methods(sorted(results, key=lambda r: (r.data, r.method, r.seed, r.task)))
    findings = findings or ReportData()
    styles, order = method_styles(results), method_order(results)
    main, cost = _main_tables(results)
    groups = _result_groups(results, styles)
    sheet = to_html_table(main, f"Accuracy in percent{shared_values(main)}")
    by_background = [table for group in groups for table in group.reliance]
    footnotes = dict.fromkeys(note for table in (sheet, *by_background) for note in table.footnotes)
    reliance, reliance_meanings = reliance_tables(findings.reliance, order)
    own_notes = findings.own.notes if findings.own else ()
    return page_template().render(
        title=title,
        sentence=describe.summary_sentence(results),
        verdicts=recommend(results),
        facts=describe.provenance_facts(results),
        main=sheet,
        several=len({row.data for row in main.rows}) > 1,
        shots=figures.shots_figures(results, styles),
        cost=cost,
        groups=groups,
        measured=reliance,
        measured_meanings=reliance_meanings,
        classes=[class_tables(counts, order) for counts in findings.classes],
        confusions=figures.confusion_figures(findings.classes, results, styles),
        task=findings.task,
        own=findings.own,
        calibration=None if findings.own is None else calibration_table(findings.own),
        reliability=figures.reliability_figures(findings.own, styles),
        jpeg=lambda data: data_uri("jpeg", data),
        panels=[_panel_context(panel) for panel in findings.panels],
        answering=_panel_methods(results, findings.panels),
        not_asked=NO_PREDICTION,
        words=prompt_word_tables(findings.words),
        shifts=figures.feature_shift_figure(findings.shifts, styles),
        styles=styles,
        meanings=_meanings((*split_shared_keys(main)[0], *main.columns)),
        cost_meanings=_meanings([name for name in COST_COLUMNS if cost and (title_of(name), True) in cost.head]),
        background_meanings=_background_meanings(by_background),
        footnotes=[*footnotes, *describe.cautions(results), *findings.notes, *own_notes, *notes],
    )


def page_template(name: str = "report.html.j2") -> Template:
    """The template of a page, which escapes text and refuses unknown variables."""
    environment = Environment(
        loader=PackageLoader("cliptune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _background_meanings(tables: Sequence[HtmlTable]) -> list[tuple[str, str]]:
    """Title and meaning of the columns of tables by background."""
    columns = {name for table in tables for name, _ in table.head}
    meanings = [*((b.name, b.meaning) for b in BACKGROUNDS), ("gap", GAP_MEANING)]
    return [pair for pair in meanings if pair[0] in columns]


def _meanings(names: Sequence[str]) -> list[tuple[str, str]]:
    """Title and meaning of those columns that have a meaning."""
    return [(title_of(name), COLUMNS[name].meaning) for name in names if name in COLUMNS and COLUMNS[name].meaning]


def _main_tables(results: Sequence[Result]) -> tuple[Table, HtmlTable | None]:
    """Tables of final accuracy, without the variants that have a section of their own, and of cost."""
    suffixes = [*filter(None, SUFFIXES), "/gap"]
    apart = {part + suffix for part in ("hm", *_sets_with_backgrounds(results)) for suffix in suffixes}
    names = [name for name in metric_names(results) if name not in apart and "@" not in name]
    costs = summarise(results, [], cost=True)
    title = "Cost of one run, mean over seeds" if any(r.seeds > 1 for r in costs.rows) else "Cost"
    return summarise(results, names), to_html_table(costs, title + shared_values(costs)) if costs.columns else None


def _by_data_and_shots(results: Sequence[Result]) -> dict[tuple[str, int | None], list[Result]]:
    """Results by data set and shots."""
    split: dict[tuple[str, int | None], list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda r: (r.data, -1 if (s := num_shots(r)) is None else s)):
        split[result.data, num_shots(result)].append(result)
    return split


def _result_groups(results: Sequence[Result], styles: Mapping[str, MethodStyle]) -> list[ResultGroup]:
    parts_of = _by_data_and_shots(results)
    groups = []
    for (data, shots), runs in parts_of.items():
        title = data if shots is None else f"{data}, {'all' if shots == 0 else shots} shot{'' if shots == 1 else 's'}"
        heading = title if len(parts_of) > 1 else ""
        parts = _sets_with_backgrounds(runs)
        tables = tuple(_background_table(runs, part) for part in parts)
        bars = tuple(plot for part in parts if (plot := figures.background_figure(runs, styles, part)))
        groups.append(
            ResultGroup(
                *(heading, tables, bars, figures.base_novel_figure(runs, styles, heading)),
                *(figures.training_figures(runs, styles), figures.prompt_length_figures(runs, styles)),
            )
        )
    return groups


def _background_table(results: Sequence[Result], part: str) -> HtmlTable:
    known = metric_names(results)
    columns = [part + suffix for suffix in (*SUFFIXES, "/gap") if part + suffix in known]
    table = summarise(results, columns)
    return to_html_table(
        table, f"Accuracy on {part} by background, in percent{shared_values(table)}", _background_title
    )


def _sets_with_backgrounds(results: Sequence[Result]) -> list[str]:
    """Test sets with metrics for more than one background."""
    known = metric_names(results)
    parts = dict.fromkeys(split_metric(name)[0] for name in known if not name.startswith("hm"))
    return [part for part in parts if sum(part + suffix in known for suffix in SUFFIXES) > 1]


def _background_title(column: str) -> str:
    """The column title of a background."""
    return display_name(column).partition("/")[2] or BACKGROUNDS[0].name


def _panel_context(panel: Panel) -> dict[str, object]:
    """Template variables of a panel: images as data URIs, predictions by method."""

    def heatmap(answer: Prediction) -> str | None:
        if answer.saliency is None:
            return None
        return data_uri("jpeg", heatmap_bytes(panel.image, answer.saliency, panel.mask, kind="jpeg"))

    answers = {answer.method: (answer, heatmap(answer), panel.turned(answer)) for answer in panel.answers}
    return {
        "title": panel.title,
        "label": title_of(panel.label),
        "image": data_uri("jpeg", image_bytes(panel.image, panel.mask, kind="jpeg")),
        "answers": answers,
        "aspect": f"{panel.image.shape[2]} / {panel.image.shape[1]}",  # of the frame in place of a missing heatmap
        "outlined": panel.mask is not None,
        "compared": any(turned for *_, turned in answers.values()),
    }


def _panel_methods(results: Sequence[Result], panels: Sequence[Panel]) -> list[str]:
    """Methods with a prediction in some panel: first those that no table has, then the others in table order."""
    answering = dict.fromkeys(answer.method for panel in panels for answer in panel.answers)
    order = method_order(results)
    return [m for m in answering if m not in order] + [m for m in order if m in answering]
