"""Plain values of JSON and YAML: what anybody may have written is a value, or a `ValueError` that says what is odd."""

import math

import pytest

import damaged_files
from cliptune import plain_values

BOMB = "a: &a [x, x]\n" + "".join(
    f"{k}: &{k} [*{j}, *{j}]\n" for j, k in zip("abcdefghijkl", "bcdefghijklm", strict=True)
)


@pytest.mark.parametrize("text", ["3", '{"a": [1, 2.5, null, true, "é"]}', "[]", '{"n": 18446744073709551616}'])
def test_json_and_yaml_of_plain_values(text):
    assert plain_values.from_json(text) == plain_values.from_yaml(text)


def test_numbers_that_are_none_pass_as_numbers_do():
    assert math.isnan(plain_values.from_json("NaN")) and plain_values.from_yaml(".inf") == math.inf


@pytest.mark.parametrize(
    "text, message",
    [
        ("[" * 20_000 + "]" * 20_000, "nested more than 40 levels deep"),
        ('{"a":' * 60 + "1" + "}" * 60, "nested more than 40 levels deep"),
        ("9" * 400, "an integer of 1329 bits"),
        ("9" * 5000, "digits"),
        (r'{"\ud800": 1}', "a lone surrogate"),
        (r'"a\udfff"', "a lone surrogate"),
        ("{", "Expecting"),
        ("", "Expecting value"),
    ],
)
def test_json_that_nobody_writes(text, message):
    with pytest.raises(ValueError, match=message), damaged_files.within(10):
        plain_values.from_json(text)


@pytest.mark.parametrize(
    "text, message",
    [
        (BOMB, "it has aliases"),
        ("a: &a {x: 1}\nb: {<<: *a}", "it has aliases"),
        ("a: &a [*a]", "it has aliases"),
        ("[" * 20_000, "nested more than 40 levels deep"),
        ("- " * 60 + "x", "nested more than 40 levels deep"),
        ("!!python/object/apply:os.system [touch x]", "could not determine a constructor"),
        ("!!python/name:os.system", "could not determine a constructor"),
        ("? [a]\n: b", "unhashable|found unacceptable key"),
        ("2001-99-99", "month"),
        ("9" * 400, "an integer of 1329 bits"),
        ("a: b: c", "mapping values are not allowed"),
        ("a: \x00", "special characters are not allowed"),
        ('"\\uD800"', "a lone surrogate"),
    ],
)
def test_yaml_that_nobody_writes(text, message):
    with pytest.raises(ValueError, match=message), damaged_files.within(10):
        plain_values.from_yaml(text)
