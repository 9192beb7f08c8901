"""Means, standard deviations and harmonic means against direct computation."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptune.errors import UserError
from cliptune.results.summary import metric_names, summarise

percents = st.floats(0, 100)


def naive(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


@settings(deadline=None)
@given(st.lists(st.tuples(percents, percents), min_size=2, max_size=6))
def test_means_deviations_and_harmonic_mean_of_the_means(record, pairs):
    results = [record(seed=s, base=b, novel=n) for s, (b, n) in enumerate(pairs)]
    table = summarise(results)
    assert table.columns == ("base", "novel", "hm")
    base, novel, hm = table.rows[0].cells
    for cell, values in ((base, [b for b, _ in pairs]), (novel, [n for _, n in pairs])):
        mean, std = naive(values)
        assert cell.mean == pytest.approx(mean, abs=1e-9)
        assert cell.std == pytest.approx(std, abs=1e-6)
        assert cell.seeds == len(pairs)
    b, n = base.mean, novel.mean
    assert hm.mean == pytest.approx(2 * b * n / (b + n) if b + n else 0)
    assert hm.std is None


def test_hm_of_the_averages(record):
    results = [record(seed=1, base=80.0, novel=20.0), record(seed=2, base=20.0, novel=80.0)]
    assert summarise(results, ["hm"]).rows[0].cells[0].mean == 50  # the average of each seed's would be 32
    assert "not the average of the harmonic means" in " ".join(summarise(results).footnotes)


def test_hm_of_a_variant(record):
    table = summarise([record(base__swap=60.0, novel__swap=30.0, base=1.0)], ["hm/swap"])
    assert table.rows[0].cells[0].mean == 40


def test_one_seed_has_no_deviation(record):
    table = summarise([record(base=50.0)])
    assert table.rows[0].cells[0].std is None
    assert table.rows[0].seeds == 1
    assert not any("ddof" in note for note in table.footnotes)
    assert any("one seed" in note for note in table.footnotes)


def test_the_gap_is_paired(record):
    same, swap = (60.0, 50.0, 70.0), (55.0, 43.0, 68.0)
    results = [record(seed=i, base__same=a, base__swap=b) for i, (a, b) in enumerate(zip(same, swap, strict=True))]
    results.append(record(seed=9, base__same=99.0))  # without its pair there is no gap
    cell = summarise(results, ["base/gap"]).rows[0].cells[0]
    mean, std = naive([a - b for a, b in zip(same, swap, strict=True)])
    assert (cell.mean, cell.std, cell.seeds) == (pytest.approx(mean), pytest.approx(std), 3)


def test_rows_by_data_method_and_shots(record):
    results = [
        record(m, 1, data=d, shots=s, base=50.0, parameters=0.0 if m == "zeroshot" else 8.0)
        for d in ("pets", "cars")
        for m in ("maple", "coop+dapt", "zeroshot", "coop")
        for s in (16, 4)
    ]
    random.Random(0).shuffle(results)
    rows = [(r.data, r.method, r.shots) for r in summarise(results).rows]
    methods = ("zeroshot", "coop", "coop+dapt", "maple")
    assert rows == [(d, m, s) for d in ("cars", "pets") for m in methods for s in (4, 16)]


def test_columns_are_in_order(study, record):
    assert metric_names([*study, record(other__flat=1.0, zoo=1.0)]) == (
        *("base", "novel", "hm", "zoo"),
        *("base/same", "base/swap", "base/none", "base/gap", "other/flat"),
    )


def test_variants_are_omitted_by_default(study):
    assert summarise(study).columns == ("base", "novel", "hm")


def test_only_variants_are_shown_if_there_is_nothing_else(record):
    assert summarise([record(base__swap=1.0)]).columns == ("base/swap",)


def test_costs_only_on_request(study):
    table = summarise(study, ["base"], cost=True)
    assert table.columns == ("base", "parameters", "seconds", "peak_memory_mib")
    assert table.rows[-1].cells[2].mean == 2.5


def test_a_metric_missing_for_some_seeds_shows_their_number(record):
    table = summarise([record(seed=1, base=50.0, novel=40.0), record(seed=2, base=60.0)])
    assert [c.seeds for c in table.rows[0].cells] == [2, 1, 1]
    assert any("only n seeds of the row" in note for note in table.footnotes)


def test_a_missing_metric_of_a_method_is_empty(record):
    table = summarise([record("a", base=50.0), record("b", novel=50.0)])
    assert [c is None for c in table.rows[0].cells] == [False, True, True]


def test_settings_are_never_averaged(record):
    results = [record(seed=s, base=50.0, config={"method": {"n_ctx": s}}) for s in (4, 16)]
    assert [r.method for r in summarise(results).rows] == ["coop (n_ctx=4)", "coop (n_ctx=16)"]


def test_duplicate_runs_are_refused(record):
    with pytest.raises(UserError, match="coop on emoji with seed 1 occurs twice"):
        summarise([record(base=50.0), record(base=51.0)])


def test_an_unknown_metric_is_refused_with_the_known_ones(record):
    with pytest.raises(UserError, match="no result has the metric 'bse'; known: base"):
        summarise([record(base=50.0)], ["bse"])


def test_an_empty_summary_is_refused():
    with pytest.raises(UserError, match="no results to summarise"):
        summarise([])


def test_average_precision_is_next_to_accuracy(record):
    precision = {"base__map": 60.0, "novel__map": 30.0, "base__swap": 1.0}
    table = summarise([record(seed=seed, base=50.0, novel=40.0, **precision) for seed in (1, 2)])
    assert table.columns == ("base", "novel", "hm", "base/map", "novel/map", "hm/map")
    assert table.rows[0].cells[-1].mean == pytest.approx(40)
    assert any("map is mean average precision" in note for note in table.footnotes)


def test_metrics_during_training_are_shown_on_request_with_their_hm(record):
    results = [
        record(base=60.0, novel=30.0, **{"base@2": 50.0, "novel@2": 50.0, "base/same@2": 9.0, "base/swap@2": 4.0})
    ]
    assert summarise(results).columns == ("base", "novel", "hm")
    cells = summarise(results, ["hm@2", "base/gap@2"]).rows[0].cells
    assert [cell.mean for cell in cells] == [50, 5]


def test_joint_accuracy_is_next_to_separate_accuracy(record):
    table = summarise([record(base=60.0, novel=30.0, joint=40.0, base__joint=50.0, novel__joint=25.0)])
    assert table.columns == ("base", "novel", "hm", "joint", "base/joint", "novel/joint", "hm/joint")


def test_targets_are_between_source_and_average(record):
    assert summarise([record(average=1.0, zoo=2.0, source=3.0, dtd=4.0)]).columns == ("source", "dtd", "zoo", "average")


def test_the_average_over_data_sets_is_of_means_and_its_hm_of_the_averages(record):
    results = [
        record("coop", s, data=d, base=b, novel=n) for s in (1, 2) for d, b, n in (("x", 80.0, 20.0), ("y", 40.0, 60.0))
    ]
    results += [record("maple", 1, data="x", base=1.0, novel=1.0)]
    table = summarise(results, average=True)
    assert [(row.method, row.data) for row in table.rows] == [
        *(("coop", "x"), ("maple", "x"), ("coop", "y")),
        ("coop", "average"),
    ]
    assert [cell.mean for cell in table.rows[-1].cells] == [60, 40, 48]  # the mean of the two HM would be 40
    assert "No average for methods not run on all 2 datasets: maple with 16 shots." in table.footnotes


def test_the_confidence_interval_is_students(record):
    from cliptune.results.formatting import format_cells

    table = summarise([record(seed=s, base=b) for s, b in ((1, 49.0), (2, 50.0), (3, 51.0))], spread="ci95")
    assert format_cells(table, 3)[0][0].std == f"{4.30265 / math.sqrt(3):.3f}"
    assert any("95 % interval" in note and "n - 1 degrees of freedom" in note for note in table.footnotes)
