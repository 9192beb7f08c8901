"""Tables of rows in memory and in files, with and without pandas and pyarrow."""

import csv
import json
import sys

import pytest

from cliptune.errors import UserError
from cliptune.results.row_tables import RowTable, check_row_file, to_table, write_rows

COLUMNS = ("path", "share", "correct")
ROWS = [{"path": "a, b\n.jpg", "share": 1 / 3, "correct": True}, {"path": "é.jpg", "share": None, "correct": False}]


def test_csv_is_exact(tmp_path):
    write_rows(tmp_path / "t.csv", COLUMNS, ROWS)
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["a, b\n.jpg", "é.jpg"]
    assert float(rows[0]["share"]) == 1 / 3 and rows[1]["share"] == ""
    assert [row["correct"] for row in rows] == ["True", "False"]


def test_json_lines(tmp_path):
    write_rows(tmp_path / "t.JSONL", COLUMNS, ROWS)
    assert [json.loads(line) for line in (tmp_path / "t.JSONL").read_text(encoding="utf-8").splitlines()] == ROWS


def test_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_rows(tmp_path / "t.parquet", COLUMNS, ROWS)
    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_names_that_are_not_unicode(tmp_path):
    write_rows(tmp_path / "t.csv", ("path",), [{"path": "bad\udcff.jpg"}])
    assert (tmp_path / "t.csv").read_text() == "path\nbad?.jpg\n"


@pytest.mark.parametrize("name", ["t.txt", "t", "t.xlsx"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=f"--predictions takes .*csv, .jsonl or .parquet, got .*{name}"):
        check_row_file(tmp_path / name, "--predictions")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r'pip install "cliptune\[tables\]"'):
        check_row_file(tmp_path / "t.parquet")


def test_pandas_if_installed():
    pandas = pytest.importorskip("pandas")
    table = to_table(COLUMNS, ROWS)
    assert isinstance(table, pandas.DataFrame) and list(table.columns) == list(COLUMNS) and len(table) == 2
    assert list(to_table(COLUMNS, []).columns) == list(COLUMNS)


def test_a_plain_table_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = to_table(COLUMNS, ROWS)
    assert isinstance(table, RowTable) and len(table) == 2 and table[0]["correct"] and table["correct"] == [True, False]
    assert [row["path"] for row in table] == table["path"]
    assert repr(table) == (
        '<2 rows with path, share, correct; a plain table, as pandas is not installed: pip install "cliptune[tables]">'
    )
