"""A column has one name in terminal, Markdown, CSV, LaTeX and report; keys of records stay unchanged."""

import csv
import io
import re

import pytest
from rich.console import Console

from cliptune.errors import UserError
from cliptune.report import html_page
from cliptune.results import paired_comparison
from cliptune.results.aggregate import display_name, record_name
from cliptune.results.pivot import pivot
from cliptune.results.summary import summarise
from cliptune.results.table import to_csv, to_latex, to_markdown, to_rich

RECORDED = ("base", "base/same", "base/swap", "base/none", "base/gap")
CALLED = ("base", "base/same", "base/swapped", "base/plain", "base/gap")


@pytest.fixture
def results(record):
    values = {"base": 5.0, "base__same": 6.0, "base__swap": 3.0, "base__none": 2.0}
    return [record(method, seed, **values) for method in ("coop", "maple") for seed in (1, 2, 3)]


@pytest.mark.parametrize(
    "name, shown",
    [
        *zip(RECORDED, CALLED, strict=True),
        ("base/swap@5", "base/swapped@5"),
        ("test/none[16]", "test/plain[16]"),
        ("base/swap_published", "base/swapped_published"),
        ("hm/swap", "hm/swapped"),
        ("swap", "swap"),
        ("base/swapper", "base/swapper"),
        ("a/b/swap", "a/b/swap"),
    ],
)
def test_names_go_both_ways(name, shown):
    assert display_name(name) == display_name(shown) == shown
    assert record_name(shown) == record_name(name) == name


def test_every_format_has_the_same_names(results):
    table = summarise(results, RECORDED)
    markdown = to_markdown(table).splitlines()[0].strip("| ").split(" | ")
    assert markdown[-5:] == list(CALLED)
    row = next(csv.DictReader(io.StringIO(to_csv(table))))
    assert list(row)[4:9] == list(CALLED) and row["base/swapped"] == "3.0" and row["base/plain_std"] == "0.0"
    assert "base/swapped & base/plain" in to_latex(table)
    console = Console(width=100)
    with console.capture() as captured:
        console.print(to_rich(table))
    assert "base/swapped" in captured.get()
    for text in (to_markdown(table), to_csv(table), to_latex(table), captured.get()):
        assert not re.search(r"\bswap\b|/none\b", text)


def test_where_metrics_are_rows_as_well(results):
    turned = pivot(summarise(results, RECORDED), rows=("metric",), columns=("shots",))
    for text in (to_markdown(turned), to_csv(turned)):
        assert "base/swapped" in text and not re.search(r"\bswap\b", text)


def test_either_name_asks_for_a_column(results):
    assert summarise(results, CALLED) == summarise(results, RECORDED)
    assert paired_comparison.compare_to_baseline(
        results, "coop", ["base/swapped"]
    ) == paired_comparison.compare_to_baseline(results, "coop", ["base/swap"])
    with pytest.raises(UserError, match="'base/swapp'; known: base, base/same, base/swapped, base/plain, base/gap"):
        summarise(results, ["base/swapp"])


def test_the_page_has_them_too(results, panel):
    text = re.sub(
        r"<style>.*?</style>|<script>.*?</script>|base64,[^\"]*",
        "",
        html_page.render_page(results, title="t"),
        flags=re.S,
    )
    assert "swapped" in text and "plain" in text
    assert not re.search(r"\bswap\b|>none<", text)
