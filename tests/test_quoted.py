"""Tables quoted in the README and the manual agree with the records in the repository.

A comment above each table gives its command: `<!-- cliptune results table benchmarks/results/emoji -->`. Columns
may be omitted or named by their last part; rows are identified by those key columns that are present. A comment that
ends in `; more: published HM, advice` names columns that are not those of records. Of these, published values are those
of `cliptune results published`.
"""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from cliptune.cli import main
from cliptune.results import published

ROOT = Path(__file__).parents[1]
SPEED = re.compile(r"<!-- python (benchmarks/speed_tables\.py .*?) -->\n+((?:\|.*\n)+)")
QUOTED = re.compile(r"<!-- cliptune (results table [^>;]*?)(?:; more: ([^>]*?))? -->\n+((?:\|.*\n)+)")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks/results/emoji/masks.md"]
#: Columns that identify a row.
KEYS = ("method", "selector", "fraction", "data", "metric")
#: Column of published base-to-novel results -> dataset and metric.
PUBLISHED = {
    "published HM": ("average", "hm"),
    "published base": ("caltech101", "base"),
    "published novel": ("caltech101", "novel"),
}


def quoted() -> list[tuple[str, str, str, str]]:
    """Page, command, names of more columns and table of each quoted table."""
    return [(page.name, *found) for page in PAGES for found in QUOTED.findall(page.read_text(encoding="utf-8"))]


def rows(text: str) -> list[dict[str, str]]:
    """Rows of a Markdown table as dicts by column name, without the prefix of the name."""
    lines = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip().strip("`").replace("**", "") for cell in line] for line in lines]
    names = [name if name.startswith("[") else name.rpartition("/")[2] for name in head]
    assert len(set(names)) == len(names), "two columns have one name"
    return [dict(zip(names, line, strict=True)) for line in body]


def published_value(row: dict[str, str], data: str, metric: str) -> str:
    """The first published base-to-novel result of a row's method, "–" without any."""
    method = row["method"].partition(" (")[0]
    lines = [line for line in published.load_published() if (line.method, line.metric) == (method, metric)]
    values = [line.value for line in lines if (line.data, line.protocol) == (data, "base_to_novel")]
    return f"{values[0]:.2f}" if values else "–"


@pytest.mark.parametrize("page, command, more, table", quoted(), ids=lambda text: text[:40])
def test_quoted_tables_agree_with_the_records(page, command, more, table, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    main([*shlex.split(command), "--format", "markdown"])
    shown, made = rows(table), rows(capsys.readouterr().out)
    names = more.split(", ") if more else []
    for name in PUBLISHED.keys() & names:
        assert {row["method"]: row[name] for row in shown} == {
            row["method"]: published_value(row, *PUBLISHED[name]) for row in shown
        }
    shown = [{name: cell for name, cell in row.items() if name not in names} for row in shown]
    keys = [key for key in KEYS if key in shown[0]]
    by_key = {tuple(row[key] for key in keys): row for row in made}
    assert len(by_key) == len(made) == len(shown), "the quoted table has other rows"
    for row in shown:
        recorded = by_key[tuple(row[key] for key in keys)]
        assert row == {name: recorded[name] for name in row}


def speed_tables() -> list[tuple[str, str, str]]:
    """Page, command and table of each quoted table of speed records."""
    return [(page.name, *found) for page in PAGES for found in SPEED.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page, command, table", speed_tables(), ids=lambda text: text[:40])
def test_quoted_speed_tables_are_those_of_the_records(page, command, table, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script, *words = command.split()
    assert table == import_module(Path(script).stem).made(words)


def test_every_table_of_runs_names_its_command():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert len(re.findall(r"^\|.*± ", text, re.M)) == sum(
            len(re.findall(r"^\|.*± ", table, re.M)) for *_, table in QUOTED.findall(text)
        ), f"{page.name} quotes means over seeds without saying how they are rebuilt"
