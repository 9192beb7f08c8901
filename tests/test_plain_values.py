"""Plain JSON and YAML values: any text gives a value or a `ValueError` that names the problem."""

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


def test_nan_and_infinity_are_read_as_numbers():
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
def test_unusual_json_is_refused(text, message):
    with pytest.raises(ValueError, match=message), damaged_files.time_limit(10):
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
def test_unusual_yaml_is_refused(text, message):
    with pytest.raises(ValueError, match=message), damaged_files.time_limit(10):
        plain_values.from_yaml(text)
