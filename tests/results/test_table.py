"""A table has the same content in every format."""

import csv
import dataclasses
import io
import random
import re

import pytest
from rich.console import Console

from cliptune.results.aggregate import metric_names
from cliptune.results.formatting import format_cells
from cliptune.results.summary import summarise
from cliptune.results.table import to_csv, to_latex, to_markdown, to_rich


def printed(table, width=100):
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(to_rich(table))
    return console.file.getvalue()


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_csv_has_every_digit(study):
    table = summarise(study, cost=True)
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [r["method"] for r in rows] == ["zeroshot", "maple", "maple+dapt"]
    for row, read in zip(table.rows, rows, strict=True):
        for column, cell in zip(table.columns, row.cells, strict=True):
            assert float(read[column]) == cell.mean
            assert read[f"{column}_std"] == ("" if cell.std is None else repr(cell.std))
            assert int(read[f"{column}_seeds"]) == cell.seeds


def test_csv_has_the_same_bytes_for_records_in_any_order(study):
    expected = to_csv(summarise(study, metric_names(study), cost=True))
    for seed in range(10):
        shuffled = random.Random(seed).sample(study, len(study))
        assert to_csv(summarise(shuffled, metric_names(study), cost=True)) == expected


def test_csv_quotes_what_needs_it(record):
    text = to_csv(summarise([record('a,"b"', data="folder:x, y", base=1.0)]))
    assert next(csv.DictReader(io.StringIO(text)))["data"] == "folder:x, y"
    assert "\r" not in text


def test_markdown(record):
    results = [record("coop", s, base=50.0 + s, novel=40.0) for s in (1, 2)] + [record("a|b", 1, base=70.0)]
    assert to_markdown(summarise(results)).splitlines()[:4] == [
        "| method | data | shots | seeds | base | novel | HM |",
        "| --- | --- | --: | --: | --: | --: | --: |",
        r"| a\|b | emoji | 16 | 1 | **70.0** | – | – |",
        "| coop | emoji | 16 | 2 | 51.5 ± 0.7 | 40.0 ± 0.0 | 45.0 |",
    ]


def test_latex_escapes_and_marks_the_best(record):
    results = [record("a_b", 1, base=70.0), record("b", 1, base=65.0), record("c", 1, base=60.0, shots=None)]
    text = to_latex(summarise(results), digits=2)
    assert r"a\_b & emoji & 16 & 1 & \textbf{70.00} \\" in text
    assert r"c & emoji & -- & 1 & 60.00 \\" in text
    assert text.count(r"\begin{tabular}{llrrr}") == text.count(r"\end{tabular}") == 1
    assert all(line.startswith("%") or "percent" not in line for line in text.splitlines())


@pytest.mark.parametrize("metrics", [None, ["base", "base/same", "base/swap", "base/none", "base/gap"]])
def test_a_terminal_of_100_columns_shows_every_value(study, metrics):
    table = summarise(study, metrics, cost=metrics is None)
    text = plain(printed(table))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert "emoji, 16 shots, 3 seeds" in text
    for row, cells in zip(table.rows, format_cells(table), strict=True):
        assert row.method in text
        assert all(f"{c.mean} ± {c.std}" in text if c.std else c.mean in text for c in cells)


def test_in_a_narrow_terminal_deviations_are_below(study):
    text = plain(printed(summarise(study, metric_names(study))))
    assert "…" not in text
    assert "maple+dapt" in text


@pytest.mark.parametrize("columns", range(1, 10))
def test_nothing_is_truncated_with_many_columns(record, columns):
    results = [record("maple+dapt", s, **{f"target{i}": 10.0 * i + s for i in range(columns)}) for s in (1, 2)]
    table = summarise(results)
    text = plain(printed(table))
    assert "…" not in text
    assert all(cell.mean in text for cells in format_cells(table) for cell in cells)
    assert text.count("target") == columns


def test_markup_in_a_name_is_text(record):
    assert "a [red]" in plain(printed(summarise([record("a [red]", base=1.0)])))


def test_the_best_is_bold_among_the_rows_of_its_data(record):
    results = [
        record("a", data="x", base=50.04, base__same=9.0, base__swap=1.0),
        record("b", data="x", base=50.01),
        record("c", data="x", base=49.9),
        record("a", data="y", base=10.0),
    ]
    table = summarise(results, ["base", "base/gap"], cost=True)
    best = [[c.best for c in row] for row in format_cells(table)]
    assert best == [[True] + [False] * 4, [True] + [False] * 4, [False] * 5, [False] * 5]  # as printed, two are best
    assert [row[0].best for row in format_cells(table, 2)] == [True, False, False, False]
    assert "\x1b[1m50.0\x1b[0m" in printed(table)


def test_all_shots_and_unknown_shots(record):
    text = to_markdown(summarise([record(shots=0, base=1.0), record("b", shots=None, base=1.0)]))
    assert "| coop | emoji | all |" in text
    assert "| b | emoji | – |" in text


def test_values_of_fewer_seeds_are_marked(record):
    assert "40.0 (1)" in to_markdown(summarise([record(seed=1, base=1.0, novel=40.0), record(seed=2, base=1.0)]))


@pytest.mark.parametrize("entry", ["pool", "transductive"])
def test_the_shots_of_a_run_on_a_pool_are_all_images_without_labels(record, entry):
    few, pool = record("coop", base=50.0), record("promptkd", base=60.0)
    pool = dataclasses.replace(pool, provenance={**pool.provenance, entry: True})
    table = summarise([few, pool])
    markdown = to_markdown(table)
    assert [row.shots for row in table.rows] == [16, 16], "as published results and pairs are matched"
    assert re.search(r"\| coop \|.* 16 \|", markdown) and re.search(r"\| promptkd.* all unlabelled \|", markdown)
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [row["shots"] for row in rows] == ["16", "0"]
