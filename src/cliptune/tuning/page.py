"""The page of a search, `report.html`."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from cliptune import methods
from cliptune.analysis.class_accuracy import wilson_interval
from cliptune.config import RunConfig
from cliptune.report.figures import EmbeddedPlot
from cliptune.report.html_page import page_template
from cliptune.report.html_table import HtmlCell, HtmlTable, number_cell, text_cell
from cliptune.report.svg import to_svg
from cliptune.results.formatting import FormattedCell
from cliptune.tuning import plots
from cliptune.tuning.result import TuneResult
from cliptune.tuning.rows import TrialRow, setting_text
from cliptune.tuning.space import setting

#: Shown in place of the importance of settings.
NO_IMPORTANCE = "It needs at least two settings in the space and 10 trials that were not pruned."


def render_page(result: TuneResult, start: RunConfig) -> str:
    """Render the page as HTML. start: The run that the search started from."""
    name, trials, best = methods.name_of(start.method), len(result.rows), result.best
    default = result.default.accuracy or 0.0
    counts = ", ".join(f"{result.count(state)} {state}" for state in ("complete", "pruned", "failed"))
    found = f"{result.accuracy:.1f} % of {result.images} images are right with the settings of trial {best.number}, "
    found += "which are the starting settings" if best.default else f"{default:.1f} % with the starting settings"
    return page_template("tune.html.j2").render(
        title=f"Tuning of {name}",
        sentence=f"{found}. {trials} trials: {counts}.",
        cautions=_cautions(result, default),
        settings=_settings_table(result, start),
        history=_embed(
            plots.plot_history(result.rows),
            f"Accuracy of {trials} trials in their order, with the best so far.",
            "Pruned trials are shown at the last accuracy that was measured, before the end of their training.",
        ),
        importance=_embed(
            plots.plot_importance(result.importance),
            "Bar chart of the importance of settings.",
            "PED-ANOVA over the complete trials: how much a setting tells the best tenth of the trials from the "
            "others. With few trials, it is a rough guide.",
        )
        if result.importance
        else None,
        no_importance=NO_IMPORTANCE,
        slices=[
            _embed(plots.plot_slice(result.rows, one), f"Accuracy of the trials by {one.name}.", "")
            for one in result.space
        ],
        trials=_trials_table(result),
        facts=_facts(result, start),
        styles={},
    )


def _cautions(result: TuneResult, default: float) -> list[str]:
    """What the accuracies can be used for, as sentences."""
    images = result.images
    low, high = wilson_interval(round(result.accuracy * images / 100), images)
    difference = round((result.accuracy - default) * images / 100)
    one = f"On {images} images, {result.accuracy:.1f} % has a 95 % interval of {low:.0f} to {high:.0f} %. "
    chosen = (
        f"The best of {len(result.rows)} accuracies is optimistic: it was chosen because it is the highest. "
        f"Expect less on other images. Test images were not used."
    )
    size = (
        f"{one}The best trial is right on {difference} {'image' if difference == 1 else 'images'} more than the "
        f"starting settings."
    )
    if result.best.default:
        size = f"{one}No trial was better than the starting settings, so best.yaml contains these."
    after = "cliptune train with --preset best.yaml trains with these settings and measures accuracy on test images."
    return [chosen, size, f"Trials were compared by {result.split}.", after]


def _settings_table(result: TuneResult, start: RunConfig) -> HtmlTable:
    rows: list[tuple[HtmlCell, ...]] = [
        (
            text_cell(one.name),
            text_cell(str(one).partition("=")[2]),
            text_cell(setting_text(setting(start, one.name))),
            HtmlCell(FormattedCell(setting_text(result.settings[one.name]), best=True), str(result.settings[one.name])),
        )
        for one in result.space
    ]
    accuracies = (result.default.accuracy, result.accuracy)
    rows.append((text_cell("accuracy (%)"), text_cell(""), *(number_cell(v) for v in accuracies)))
    head = (("setting", False), ("space", False), ("start", True), ("best", True))
    return HtmlTable("The settings that the search started from, and those of the best trial", head, tuple(rows))


def _trials_table(result: TuneResult) -> HtmlTable:
    names = [one.name for one in result.space]
    head = [("trial", True), ("state", False), ("accuracy (%)", True), *((name, True) for name in names)]
    rows = []
    for row in result.rows:
        state = "start" if row.default else f"{row.state}: {row.reason}" if row.reason else row.state
        cells = [number_cell(row.number, digits=0), text_cell(state), number_cell(row.accuracy)]
        cells += [_setting_cell(row, name) for name in names]
        rows.append((*cells, number_cell(row.seconds)))
    return HtmlTable("All trials in their order", (*head, ("seconds", True)), tuple(rows))


def _setting_cell(row: TrialRow, name: str) -> HtmlCell:
    value = row.settings.get(name)
    text = "–" if value is None else setting_text(value)
    return HtmlCell(FormattedCell(text), float(value) if isinstance(value, (int, float)) else text)


def _facts(result: TuneResult, start: RunConfig) -> Sequence[tuple[str, str]]:
    seconds = sum(row.seconds or 0.0 for row in result.rows)
    return [
        ("data", start.data),
        ("shots", str(start.shots) if start.shots else "all training images"),
        ("backbone", start.backbone),
        ("protocol", start.protocol),
        ("seed", str(start.seed)),
        ("images", result.split),
        ("space", "; ".join(map(str, result.space))),
        ("time of all trials", f"{seconds:.0f} s"),
        ("method", "tree-structured Parzen estimator and median pruning, from Optuna"),
    ]


def _embed(figure: Figure, alt: str, caption: str) -> EmbeddedPlot:
    return EmbeddedPlot(to_svg(figure), alt, caption)
