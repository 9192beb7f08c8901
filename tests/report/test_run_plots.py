"""Figures of a run: they show what is asked, and pyplot is not touched."""

import sys

import matplotlib
import pytest
import torch
from matplotlib.figure import Figure

import cliptune as ct
import tiny_clips
from cliptune.analysis.split_predictions import SplitProbabilities
from cliptune.report import run_plots


@pytest.fixture(scope="module")
def tuned(photos):
    return ct.train("coop", f"folder:{photos}", shots=4, epochs=2, min_steps=0, keep="best")


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    """No plot imports pyplot or changes the backend or a setting."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    before = {name: dict.__getitem__(matplotlib.rcParams, name) for name in matplotlib.rcParams}
    yield
    assert before == {name: dict.__getitem__(matplotlib.rcParams, name) for name in matplotlib.rcParams}


def is_figure(figure):
    assert isinstance(figure, Figure)
    shown = [figure._repr_png_(), figure._repr_jpeg_()]
    assert len([one for one in shown if one]) == 1 and len(shown[0] or shown[1]) < 300_000
    return figure


def test_curves(tuned):
    figure = is_figure(tuned.plot())
    assert len(figure.axes) == 2, "losses and validation accuracy"
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == [1, 2] and line.get_ydata()[0] == tuned.result.history[0]["loss"]
    assert list(figure.axes[1].lines[0].get_ydata()) == [row["val"] for row in tuned.result.history]


def test_confusion(tuned):
    (axes,) = is_figure(tuned.plot("confusion")).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "horse", "pig"]
    assert sum(int(text.get_text()) for text in axes.texts) == 6


def test_only_the_most_confused_of_many_classes_are_shown():
    n = run_plots.MAX_CLASSES + 5
    many = SplitProbabilities(
        "test",
        tuple(map(str, range(n))),
        tuple(map(str, range(n))),
        tuple((i,) for i in range(n)),
        torch.eye(n).roll(1, 0).double().numpy(),
    ).predictions
    (axes,) = run_plots.plot_confusions([many]).axes
    assert f"the {run_plots.MAX_CLASSES} of {n} classes" in axes.get_title()
    assert len(axes.get_yticklabels()) == run_plots.MAX_CLASSES


def test_saliency(tuned, photos):
    figure = is_figure(tuned.plot("saliency", sorted(photos.rglob("*.png"))[:2]))
    assert len(figure.axes) == 2 and "image 0\n→ " in figure.axes[0].get_title()
    figure = is_figure(tuned.plot("saliency"))
    assert {axes.get_title().split("\n")[0] for axes in figure.axes if axes.images} == {"cat", "horse", "pig"}
    assert is_figure(tuned.plot("saliency", photos / "cat" / "0.png"))


@pytest.mark.filterwarnings("ignore:backbone 'tiny' was not trained on")
def test_names_with_mathematics_are_text(tuned, photos):
    odd = tuned.with_classes(["$\\frac$", "<b>"])
    is_figure(odd.plot("saliency", photos / "cat" / "0.png"))


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (("curve",), {}, "no plot 'curve'; known: curves, confusion, saliency"),
        (("curves", ["a.png"]), {}, "takes no images"),
        (("curves",), {"data": "emoji"}, "leave out data"),
        (("saliency", ["a.png"]), {"data": "emoji"}, "images or data"),
        (("saliency", []), {}, "1 to 24 images"),
        (("saliency", ["a.png"] * 25), {}, "1 to 24 images"),
        (("saliency", ["a.png"]), {}, "no image at a.png"),
    ],
)
def test_mistakes(tuned, arguments, options, message):
    with pytest.raises(ct.UserError, match=message):
        tuned.plot(*arguments, **options)


def test_a_run_without_history(tuned, photos):
    with pytest.raises(ct.UserError, match="no training history"):
        ct.train("zeroshot", f"folder:{photos}", shots=0).plot()
    with pytest.raises(ct.UserError, match="no training history"):
        tuned.with_classes(["a", "b"]).plot()


def test_a_convolutional_tower_has_no_maps(tuned, photos):
    model = type(tuned.model)(tiny_clips.backbone("resnet"), tuned.run.method, ("a", "b"))
    with pytest.raises(ct.UserError, match="no vision transformer"):
        ct.Tuned(model, tuned.run).plot("saliency", photos / "cat" / "0.png")
