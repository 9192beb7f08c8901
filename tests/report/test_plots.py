"""Figures show the records in one style and leave matplotlib's settings unchanged."""

import re
import xml.etree.ElementTree as ET

import matplotlib
import pytest

from cliptune.report import plots, svg
from cliptune.report.theme import method_styles
from cliptune.types import Result


@pytest.fixture(scope="module")
def styles(study):
    return method_styles(study)


def test_each_method_has_its_own_style(record):
    results = [record(f"m{i}", base=1.0) for i in range(12)] + [record("still", parameters=0.0, base=1.0)]
    made = method_styles(results)
    assert list(made)[0] == "still"
    assert len({look.colour for look in made.values()}) == 13
    assert method_styles(results[::-1]) == made


def test_a_curve_is_the_mean_over_seeds(study, styles):
    axes = plots.plot_training_curves(study, styles).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert set(lines) == {"maple", "maple+dapt"}  # zeroshot has no history
    expected = [sum(3 / (e + s) for s in (1, 2, 3)) / 3 for e in range(3)]
    assert list(lines["maple"].get_ydata()) == pytest.approx(expected)
    assert list(lines["maple"].get_xdata()) == [1, 2, 3]
    assert lines["maple"].get_color() == styles["maple"].colour


def test_curves_use_the_epochs_common_to_all_seeds(record):
    results = [record(seed=1, epochs=2), record(seed=2, epochs=4)]
    assert len(plots.plot_training_curves(results, method_styles(results)).axes[0].get_lines()[0].get_xdata()) == 2


def test_bars_have_the_values_of_the_table(study, styles):
    axes = plots.plot_backgrounds(study, styles).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["zeroshot", "maple", "maple+dapt"]
    lengths = [bar.get_width() for bar in axes.patches]
    assert len(lengths) == 12
    assert lengths[:3] == pytest.approx([51 + 2 / 3, 56 + 2 / 3, 46 + 2 / 3])


def test_points_are_at_base_and_novel_accuracy(study, styles):
    axes = plots.plot_base_novel(study, styles).axes[0]
    handles, labels = axes.get_legend_handles_labels()
    at = {
        label: (h.lines[0].get_xdata()[0], h.lines[0].get_ydata()[0]) for h, label in zip(handles, labels, strict=True)
    }
    assert at["maple"] == (pytest.approx(52 + 2 / 3), pytest.approx(38 + 2 / 7))


def test_figures_without_data_are_omitted(record):
    results = [record(base=50.0)]
    assert plots.plot_training_curves(results, method_styles(results)) is None
    assert plots.plot_backgrounds(results, method_styles(results)) is None
    assert plots.plot_base_novel(results, method_styles(results)) is None
    apart = [record("a", base=1.0), record("b", novel=1.0)]
    assert plots.plot_base_novel(apart, method_styles(apart)) is None


def test_zero_and_equal_accuracies_can_be_drawn(record):
    results = [record(name, base=0.0, novel=0.0) for name in "ab"]
    assert svg.to_svg(plots.plot_base_novel(results, method_styles(results)))


def test_svg_is_well_formed_repeats_and_follows_the_page(study, styles):
    text, again = (svg.to_svg(plots.plot_backgrounds(study, styles)) for _ in range(2))
    assert text == again and "maple+dapt" in text
    ET.fromstring(text.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"', 1))
    assert "currentColor" in text and "var(--paper)" in text and "color-mix" in text
    own = {look.colour for look in styles.values()}
    assert set(re.findall(r"(?:fill|stroke): (#\w+)", text)) <= own  # all other colours follow the light or dark theme


def test_settings_of_matplotlib_are_restored(study, styles):
    before = dict(matplotlib.rcParams)
    svg.to_svg(plots.plot_training_curves(study, styles))
    assert dict(matplotlib.rcParams) == before


def test_a_method_without_recorded_cost_can_be_drawn():
    results = [Result("t", "m", "d", s, {"base": 1.0, "novel": 2.0}, {}) for s in (1, 2)]
    assert plots.plot_base_novel(results, method_styles(results))
