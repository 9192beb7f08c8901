"""Prompt tokens per layer, from the settings of any method."""

import re
from dataclasses import replace

import numpy as np
import pytest

from cliptune.report import html_page, plots
from cliptune.report.theme import method_styles
from cliptune.results.prompt_lengths import format_prompt_lengths, prompt_lengths


@pytest.fixture
def searched(record):
    """Two runs of one method that found different lengths, and one of another that has none."""
    inner = {"name": "any", "lengths_text": [], "lengths_image": [], "n_ctx": 3}
    asked = {"method": {"name": "around", "base": inner}}
    found = [([1, 0, 12], [2, 2]), ([1, 1, 0], [0, 2])]
    runs = []
    for seed, (text, image) in enumerate(found, 1):
        made = record("any+around", seed, base=50.0, novel=40.0, config=asked)
        trained = {"name": "around", "base": {**inner, "lengths_text": text, "lengths_image": image}}
        runs.append(replace(made, provenance={**made.provenance, "trained": trained}))
    return [*runs, record("coop", base=1.0, novel=2.0)]


def test_found_lengths_are_read(searched):
    assert prompt_lengths(searched[0]) == {"text": (1, 0, 12), "image": (2, 2)}
    assert prompt_lengths(searched[-1]) == {}


def test_given_lengths_are_read(record):
    run = record(config={"method": {"name": "any", "lengths_text": [1, 2], "lengths_image": []}})
    assert prompt_lengths(run) == {"text": (1, 2)}


def test_text_table_has_columns(searched):
    assert format_prompt_lengths(prompt_lengths(searched[0])) == [
        "layer    1  2  3",
        "text     1  0 12",
        "image    2  2",
    ]
    assert format_prompt_lengths({}) == []


def test_cells_contain_the_share_of_runs(searched):
    figure = plots.plot_prompt_lengths(searched[:2], method_styles(searched)["any+around"])
    text, image = (axes.collections[0].get_array().reshape(13, -1) for axes in figure.axes)
    expected = np.zeros((13, 3))
    expected[1, 0], expected[[0, 1], 1], expected[[12, 0], 2] = 1, 0.5, 0.5
    assert np.array_equal(text, expected)
    assert image[2].tolist() == [0.5, 1.0] and image[0].tolist() == [0.5, 0.0]
    assert plots.plot_prompt_lengths(searched[2:], method_styles(searched)["coop"]) is None


def test_runs_that_found_different_lengths_are_one_row_of_the_page(searched):
    text = html_page.render_page(searched, title="t")
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", text)
    assert headings == ["Which method to use", "Accuracy", "Cost", "Tokens in each layer", "Notes", "Provenance"]
    assert "lengths_text" not in text and "any+around. Darker cells: more runs" in text
    assert ">tokens, image<" in text
