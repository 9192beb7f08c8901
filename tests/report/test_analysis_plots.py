from cliptune.report import analysis_plots
from cliptune.report.confusion import ConfusionCounts
from cliptune.report.report_data import FeatureShift
from cliptune.report.theme import method_styles


def test_one_line_per_method_over_shots_and_a_level_for_single_runs(record):
    runs = [record("coop", s, shots=k, test=40.0 + k + s) for k in (1, 4, 16) for s in (1, 3)]
    runs += [record("zeroshot", 1, shots=1, test=35.0, parameters=0.0), record("coop", shots=0, test=99.0)]
    figure = analysis_plots.plot_shots(runs, method_styles(runs), metric="test")
    (axes,) = figure.axes
    drawn = {line.get_label(): line for line in axes.get_lines()}
    assert list(drawn["zeroshot"].get_ydata()) == [35.0, 35.0]
    (bars,) = axes.containers
    assert list(bars.lines[0].get_xdata()) == [1, 4, 16] and list(bars.lines[0].get_ydata()) == [43.0, 46.0, 58.0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "16"]
    assert analysis_plots.plot_shots(runs[:2], method_styles(runs), metric="test") is None, (
        "one number of shots is no curve"
    )


def test_both_towers_of_a_method_have_its_colour(record):
    runs = [record("maple", base=1.0)]
    figure = analysis_plots.plot_feature_shifts(
        [FeatureShift("maple", (0.1, 0.2), (0.3, 0.4, 0.5))], method_styles(runs)
    )
    text, image = figure.axes[0].get_lines()
    assert text.get_color() == image.get_color() == method_styles(runs)["maple"].colour
    assert list(image.get_ydata()) == [0.3, 0.4, 0.5] and list(image.get_xdata()) == [1, 2, 3]
    assert text.get_linestyle() != image.get_linestyle()
    assert analysis_plots.plot_feature_shifts([], {}) is None


def test_a_matrix_of_shares(record):
    one = ConfusionCounts("base", ("cat", "a very long name of a class"), "zeroshot", {"coop": [[3, 1], [0, 0]]})
    look = method_styles([record("coop", base=1.0)])["coop"]
    (axes,) = analysis_plots.plot_confusion(one, "coop", look).axes
    assert axes.get_images()[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "a very long name …"]
