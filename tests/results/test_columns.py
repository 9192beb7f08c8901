"""A column is defined once: tables and the report follow."""

from cliptune.report import html_page
from cliptune.results import columns
from cliptune.results.summary import summarise
from cliptune.results.table import to_csv, to_markdown


def test_a_cost_added_to_the_list_is_in_every_output(study, monkeypatch):
    half = columns.Column(
        "half", "cost", "Half the seconds.", title="half time", decimals=2, value=lambda r: r.cost["seconds"] / 2
    )
    monkeypatch.setitem(columns.COLUMNS, "half", half)
    monkeypatch.setitem(columns.COST_COLUMNS, "half", half)
    table = summarise(study, ["base"], cost=True)
    assert "| half time |" in to_markdown(table) and "| 1.25 |" in to_markdown(table)
    assert ",half," in to_csv(table)
    page = html_page.render_page(study, title="t")
    assert "half time" in page and "Half the seconds." in page


def test_every_cost_and_metric_has_a_meaning():
    assert all(c.meaning for c in columns.COLUMNS.values() if c.kind != "key")
