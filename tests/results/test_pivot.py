"""A pivot moves numbers without changing them."""

import csv
import dataclasses
import io

import pytest

from cliptune.errors import UserError
from cliptune.results.pivot import pivot
from cliptune.results.summary import summarise
from cliptune.results.table import to_csv, to_markdown


@pytest.fixture(scope="module")
def grid(record):
    """Two methods, two data sets, three numbers of shots, two seeds; every mean differs."""
    return [
        record(m, seed, data=d, shots=k, parameters=8.0 * (m != "zeroshot"), test=10.0 * i + j + k / 100 + seed / 1000)
        for i, m in enumerate(("zeroshot", "coop"))
        for j, d in enumerate(("pets", "cars"))
        for k in (16, 2, 4)
        for seed in (1, 2)
    ]


def read(table):
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def test_shots_side_by_side_in_the_order_of_numbers(grid):
    table = pivot(summarise(grid), columns=("metric", "shots"))
    assert table.columns == ("test[2]", "test[4]", "test[16]")
    assert [(row.data, row.method) for row in table.rows] == [
        *(("cars", "zeroshot"), ("pets", "zeroshot"), ("cars", "coop"), ("pets", "coop"))
    ]
    plain = {(r["method"], r["data"], r["shots"]): r["test"] for r in read(summarise(grid))}
    for row in read(table):
        assert [row[f"test[{k}]"] for k in (2, 4, 16)] == [
            plain[row["method"], row["data"], str(k)] for k in (2, 4, 16)
        ]
        assert set(row) >= {"method", "data", "seeds"} and "shots" not in row


def test_rows_are_sorted_in_the_order_of_their_dimensions(grid):
    table = pivot(summarise(grid), rows=("data", "shots"))
    assert table.keys == ("data", "shots", "method", "seeds")
    order = [(row.data, row.shots, row.method) for row in table.rows]
    assert order == [(d, k, m) for d in ("cars", "pets") for k in (2, 4, 16) for m in ("zeroshot", "coop")]


def test_metrics_may_be_rows(record):
    results = [record("coop", s, data=d, base=50.0 + s, novel=40.0) for d in ("x", "y") for s in (1, 2)]
    table = pivot(summarise(results), rows=("method", "metric"), columns=("data",))
    assert to_markdown(table).splitlines()[:5] == [
        "| method | metric | shots | seeds | x | y |",
        "| --- | --- | --: | --: | --: | --: |",
        "| coop | base | 16 | 2 | 51.5 ± 0.7 | 51.5 ± 0.7 |",
        "| coop | novel | 16 | 2 | 40.0 ± 0.0 | 40.0 ± 0.0 |",
        "| coop | HM | 16 | 2 | 45.0 | 45.0 |",
    ]


def test_the_average_is_the_last_column(grid):
    table = pivot(summarise(grid, average=True), columns=("data",))
    assert table.columns == ("[cars]", "[pets]", "[average]")


def test_a_setting_may_be_a_dimension(record):
    results = [
        record("coop", 1, config={"fraction": f, "selector": s}, test=f) for f in (0.05, 1.0) for s in ("a", "b")
    ]
    table = pivot(summarise(results, apart=("fraction", "selector")), columns=("metric", "fraction"))
    assert table.columns == ("test[0.05]", "test[1.0]")
    assert [(row.method, row.more["selector"]) for row in table.rows] == [("coop", "a"), ("coop", "b")]


def test_missing_cells_are_empty(record):
    results = [record("a", shots=1, test=1.0), record("b", shots=2, test=2.0)]
    cells = [[c is None for c in row.cells] for row in pivot(summarise(results), columns=("shots",)).rows]
    assert cells == [[False, True], [True, False]]


def test_a_pool_is_not_all_images_with_labels(record):
    pool = record("promptkd", shots=16, test=3.0)
    pool = dataclasses.replace(pool, provenance={**pool.provenance, "pool": True})
    table = summarise([record("coop", shots=4, test=1.0), record("coop", shots=0, test=2.0), pool])
    across = pivot(table, columns=("metric", "shots"))
    assert across.columns == ("test[all]", "test[all unlabelled]", "test[4]")
    assert [[cell and cell.mean for cell in row.cells] for row in across.rows] == [[2.0, None, 1.0], [None, 3.0, None]]
    down = pivot(table, rows=("shots", "method"))
    lines = to_markdown(down).splitlines()[2:5]
    assert [line.split(" | ")[0] for line in lines] == ["| all", "| all unlabelled", "| 4"]
    assert [row["shots"] for row in read(down)] == ["0", "0", "4"]


@pytest.mark.parametrize(
    "rows, columns, fault",
    [
        (("shot",), ("metric",), "no dimension 'shot'; it has method, data, shots, metric"),
        (("shots",), ("shots",), "shots cannot be both in rows and in columns"),
        ((), ("method",), "methods are always in rows"),
    ],
)
def test_invalid_dimensions_are_refused(grid, rows, columns, fault):
    with pytest.raises(UserError, match=fault):
        pivot(summarise(grid), rows, columns)


def test_pools_of_runs_with_other_shots_keep_their_values(record):
    runs = [record("promptkd", shots=shots, test=float(shots)) for shots in (4, 16)]
    pools = [dataclasses.replace(run, provenance={**run.provenance, "pool": True}) for run in runs]
    table = pivot(summarise([*pools, record("coop", shots=4, test=1.0)]), columns=("metric", "shots"))
    assert {row.method: [cell.mean for cell in row.cells if cell] for row in table.rows} == {
        "coop": [1.0],
        "promptkd (shots=4)": [4.0],
        "promptkd (shots=16)": [16.0],
    }
