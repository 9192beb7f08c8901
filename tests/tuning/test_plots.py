"""Plots of a search."""

from cliptune.tuning.plots import plot_history
from cliptune.tuning.rows import TrialRow


def test_the_axis_of_accuracies_ends_at_100_percent():
    rows = [TrialRow(i, "complete", 100.0, 1.0, {"lr": 0.1 * (i + 1)}, default=i == 0) for i in range(3)]
    (axes,) = plot_history(rows).axes
    low, high = axes.get_ylim()
    assert low < 100 < high < 101 and all(tick <= 100 for tick in axes.get_yticks() if low <= tick <= high)


def test_low_accuracies_keep_their_range():
    rows = [TrialRow(i, "complete", float(i), 1.0, {"lr": 0.1}, default=i == 0) for i in range(3)]
    low, high = plot_history(rows).axes[0].get_ylim()
    assert -1 < low < 0 and 2 < high < 3
