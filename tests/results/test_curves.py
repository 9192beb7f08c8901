from cliptune.results import curves
from cliptune.results.classes import ByClass
from cliptune.results.context import Shift
from cliptune.results.theme import looks


def test_a_line_a_method_over_shots_and_a_level_for_what_ran_once(record):
    runs = [record("coop", s, shots=k, test=40.0 + k + s) for k in (1, 4, 16) for s in (1, 3)]
    runs += [record("zeroshot", 1, shots=1, test=35.0, parameters=0.0), record("coop", shots=0, test=99.0)]
    figure = curves.by_shots(runs, looks(runs), metric="test")
    (axes,) = figure.axes
    drawn = {line.get_label(): line for line in axes.get_lines()}
    assert list(drawn["zeroshot"].get_ydata()) == [35.0, 35.0]
    (bars,) = axes.containers
    assert list(bars.lines[0].get_xdata()) == [1, 4, 16] and list(bars.lines[0].get_ydata()) == [43.0, 46.0, 58.0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "16"]
    assert curves.by_shots(runs[:2], looks(runs), metric="test") is None, "one number of shots is no curve"


def test_both_towers_of_a_method_share_its_colour(record):
    runs = [record("maple", base=1.0)]
    figure = curves.layer_shifts([Shift("maple", (0.1, 0.2), (0.3, 0.4, 0.5))], looks(runs))
    text, image = figure.axes[0].get_lines()
    assert text.get_color() == image.get_color() == looks(runs)["maple"].colour
    assert list(image.get_ydata()) == [0.3, 0.4, 0.5] and list(image.get_xdata()) == [1, 2, 3]
    assert text.get_linestyle() != image.get_linestyle()
    assert curves.layer_shifts([], {}) is None


def test_a_matrix_of_shares(record):
    one = ByClass("base", ("cat", "a very long name of a class"), "zeroshot", {"coop": [[3, 1], [0, 0]]})
    look = looks([record("coop", base=1.0)])["coop"]
    (axes,) = curves.confusions(one, "coop", look).axes
    assert axes.get_images()[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "a very long name …"]
