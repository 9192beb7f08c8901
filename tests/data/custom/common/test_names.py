"""Readable class names from folder names and labels."""

import unicodedata
import warnings

import pytest

from cliptune.data.custom.common.names import prompt_classnames, readable_name
from cliptune.errors import UserError


@pytest.mark.parametrize(
    "name, words",
    [
        ("cat", "cat"),
        ("red_fox", "red fox"),
        ("__house__cat_", "house cat"),
        ("RedFox", "Red Fox"),
        ("MyBigDog", "My Big Dog"),
        ("RoterFüchsÜber", "Roter Füchs Über"),
        ("BMW", "BMW"),
        ("BMWWagon", "BMW Wagon"),
        ("ATMs", "ATMs"),
        ("iPhone15", "iPhone15"),
        ("Boeing737", "Boeing737"),
        ("golden-retriever", "golden retriever"),
        ("jack-in-the-box", "jack in the box"),
        ("t-shirt", "t-shirt"),
        ("F-16", "F-16"),
        ("A330-200", "A330-200"),
        # one convention per name: other separators belong to its words
        ("McLaren MP4-12C Coupe", "McLaren MP4-12C Coupe"),
        ("american_t-shirt", "american t-shirt"),
        ("polka-dotted_McDress", "polka-dotted McDress"),
        # leading marks
        ("n01440764_tench", "tench"),
        ("n02085620-Japanese_spaniel", "Japanese spaniel"),
        ("001.Black_footed_Albatross", "Black footed Albatross"),
        ("n01440764", "n01440764"),
        ("007", "007"),
        ("2012_Audi", "2012 Audi"),
        ("3.5 inch disk", "3.5 inch disk"),
        ("Käse", "Käse"),
        ("日本", "日本"),
        ("_", "_"),
        ("  two  spaces ", "two spaces"),
    ],
)
def test_readable(name, words):
    assert readable_name(name) == words
    assert readable_name(words) == words, "once is enough"


def test_accents_are_normalised():
    assert readable_name(unicodedata.normalize("NFD", "Käse")) == unicodedata.normalize("NFC", "Käse")


def test_raw_names_are_unchanged():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prompt_classnames(["red_fox", "n01440764_tench"], "x", raw=True) == ("red_fox", "n01440764_tench")


def test_dropped_marks_are_reported():
    with pytest.warns(
        UserWarning, match=r"^class 'n01440764_tench' is read as 'tench' \(and 1 more likewise\); --raw-names"
    ):
        assert prompt_classnames(["cat", "n01440764_tench", "001.Dog"], "x") == ("cat", "tench", "Dog")


@pytest.mark.parametrize("name", ["0", "17", "n01440764"])
def test_meaningless_names_are_reported(name):
    with pytest.warns(UserWarning, match=f"class names such as '{name}' in x are not words .*; words would help"):
        assert prompt_classnames(["cat", name], "x") == ("cat", name)


@pytest.mark.parametrize("raw", [True, False])
def test_equal_readable_names_are_refused(raw):
    with pytest.raises(UserError, match="two classes of x, 'Cat' and 'cat', read as 'cat'; rename one$"):
        prompt_classnames(["Cat", "dog", "cat"], "x", raw)


def test_raw_names_may_have_equal_readable_forms():
    with pytest.raises(UserError, match=r"read as 'crane'; rename one or keep names as they are \(--raw-names\)"):
        prompt_classnames(["n02012849_crane", "n03126707_crane"], "x")
    assert len(prompt_classnames(["n02012849_crane", "n03126707_crane"], "x", raw=True)) == 2
