"""Cells that a spreadsheet would evaluate get an apostrophe; numbers stay numbers."""

import csv
import io

import pytest

from cliptune.results.table import escape_formulas


@pytest.mark.parametrize("cell", ["=1+1", "+x", "-x", "@x", "\tx", "\n=x", "-", "-inf", "=cmd|' /C calc'!A0", '="a,b"'])
def test_formulas_are_text(cell):
    out = io.StringIO()
    csv.writer(out).writerow(["method", cell])
    assert next(csv.reader(io.StringIO(escape_formulas(out.getvalue()), newline=""))) == ["method", f"'{cell}"]


@pytest.mark.parametrize("cell", ["-0.5", "+3", "1e-3", "-1e3", "", "plain", "a=b", "it's"])
def test_others_stay(cell):
    assert escape_formulas(f"{cell},2\n") == f"{cell},2\n"
