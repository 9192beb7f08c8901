"""Paired differences by seed, and their significance."""

import itertools
import math

import pytest

from cliptune.errors import UserError
from cliptune.results.formatting import format_cells
from cliptune.results.paired_comparison import compare_to_baseline
from cliptune.results.t_distribution import two_sided_p
from cliptune.results.table import to_csv


def runs(record, method, values, **more):
    return [record(method, seed, test=value, **more) for seed, value in enumerate(values, 1)]


def test_difference_error_and_p_of_one_pair(record):
    ours, theirs = (60.0, 63.0, 61.0, 66.0), (58.0, 60.0, 60.0, 61.0)
    table = compare_to_baseline(runs(record, "coop", ours) + runs(record, "base", theirs), "base")
    gained = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean = sum(gained) / 4
    std = math.sqrt(sum((g - mean) ** 2 for g in gained) / 3)
    (row,) = table.rows
    assert (row.method, row.seeds) == ("coop", 4)
    assert row.cells[0].mean == pytest.approx(mean)
    assert row.cells[0].p == pytest.approx(two_sided_p(mean / (std / 2), 3))
    assert format_cells(table)[0][0].mean == "+2.8"
    assert format_cells(table)[0][0].std == f"{std / 2:.1f}"
    assert to_csv(table).splitlines()[0] == "method,data,shots,seeds,test,test_se,test_p,test_seeds"


def test_seeds_are_paired_by_number(record):
    """Methods with correlated seeds differ significantly even if seeds vary a lot."""
    theirs = [10.0, 90.0, 40.0, 70.0]
    table = compare_to_baseline(
        runs(record, "b", theirs) + runs(record, "a", [t + d for t, d in zip(theirs, (1, 1.1, 0.9, 1), strict=True)]),
        "b",
    )
    assert table.rows[0].cells[0].p < 0.001


def test_holm(record):
    theirs = [50.0, 50.0, 50.0]
    gains = {"a": (1.0, 1.1, 0.9), "b": (1.0, 3.0, 2.0), "c": (1.0, -1.0, 0.5)}
    results = runs(record, "z", theirs) + [r for m, g in gains.items() for r in runs(record, m, [50 + d for d in g])]
    table = compare_to_baseline(results, "z")
    alone = {
        m: compare_to_baseline(runs(record, "z", theirs) + runs(record, m, [50 + d for d in g]), "z")
        for m, g in gains.items()
    }
    raw = sorted(t.rows[0].cells[0].p for t in alone.values())
    found = sorted(row.cells[0].p for row in table.rows)
    assert found == pytest.approx([3 * raw[0], max(3 * raw[0], 2 * raw[1]), max(3 * raw[0], 2 * raw[1], raw[2])])
    assert "Holm-corrected for the 3 comparisons" in " ".join(table.footnotes)


def test_the_exact_test_counts_signs(record):
    gains = (1.0, 2.0, -0.5, 3.0)
    table = compare_to_baseline(
        runs(record, "a", [50 + g for g in gains]) + runs(record, "b", [50.0] * 4), "b", test="flips"
    )
    ways = [
        abs(sum(s * g for s, g in zip(signs, gains, strict=True))) for signs in itertools.product((1, -1), repeat=4)
    ]
    assert table.rows[0].cells[0].p == sum(way >= 5.5 - 1e-9 for way in ways) / 16


def test_below_three_common_seeds_there_is_no_p_value(record):
    results = runs(record, "a", (60.0, 61.0, 62.0)) + runs(record, "b", (50.0, 51.0))
    table = compare_to_baseline(results, "b")
    assert table.rows[0].cells == (None,)
    assert "No difference for a on emoji, 16 shots: it shares 2 seeds with b, fewer than 3." in table.footnotes


def test_runs_on_other_images_are_not_paired(record):
    import dataclasses

    other = [
        dataclasses.replace(r, provenance={**r.provenance, "data_fingerprint": "else"})
        for r in runs(record, "a", (60.0, 61.0, 62.0))
    ]
    table = compare_to_baseline(other + runs(record, "b", (50.0, 51.0, 52.0)), "b")
    assert table.rows[0].cells == (None,)
    assert any("trained or tested on other images" in note for note in table.footnotes)


def test_a_difference_that_never_varies_has_no_p(record):
    table = compare_to_baseline(runs(record, "a", (51.0, 52.0, 53.0)) + runs(record, "b", (50.0, 51.0, 52.0)), "b")
    assert (table.rows[0].cells[0].mean, table.rows[0].cells[0].p) == (1.0, None)
    assert any("variance is 0" in note for note in table.footnotes)


def test_untrained_methods_are_compared_for_any_shots(record):
    still = runs(record, "zeroshot", (50.0, 50.0, 50.0), parameters=0.0)
    table = compare_to_baseline(still + runs(record, "a", (51.0, 52.5, 53.0), shots=4), "zeroshot")
    assert table.rows[0].cells[0].mean == pytest.approx(2.1666667)


def test_a_missing_baseline_is_refused(record):
    with pytest.raises(UserError, match="no result has the method 'zero' to compare with; known: coop"):
        compare_to_baseline([record(base=1.0)], "zero")
    with pytest.raises(UserError, match="no method other than coop"):
        compare_to_baseline([record(base=1.0)], "coop")
