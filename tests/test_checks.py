"""Range checks: a value that is not a number in range raises one short sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from cliptune import checks
from cliptune.errors import UserError, shown


@dataclass
class Values:
    """Values of each kind."""

    count: int = 1
    rate: float = 1.0
    rates: tuple[float, ...] = (0.5, 0.5)
    counts: tuple[int, ...] = ()


def least(values):
    checks.at_least(values, 0, "count", "rate", "rates", "counts", hint="look it up")


def positive(values):
    checks.positive(values, "count", "rate")


def between(values):
    checks.between(values, 0, 1, "count", "rate", "rates")


@pytest.mark.parametrize("check", [least, positive, between])
@pytest.mark.parametrize("values", [Values(), Values(rate=1), Values(count=np.int64(1), rate=np.float32(0.5))])
def test_values_in_range_pass(check, values):
    check(values)


@pytest.mark.parametrize(
    "check, values, message",
    [
        (least, {"count": -1}, "count must be at least 0, got -1; look it up"),
        (least, {"rate": float("nan")}, "rate must be a finite number, got nan; look it up"),
        (least, {"rates": (0.5, float("inf"))}, r"rates must be a finite number, got \(0.5, inf\)"),
        (least, {"counts": (1, -2)}, r"counts must be at least 0, got \(1, -2\)"),
        (least, {"counts": (1, 2.5)}, r"counts must be an integer, got \(1, 2.5\)"),
        (positive, {"rate": 0.0}, "^rate must be positive, got 0.0$"),
        (positive, {"rate": float("-inf")}, "rate must be a finite number, got -inf"),
        (positive, {"rate": 10**400}, "rate must be a finite number, got a number of 401 digits"),
        (positive, {"count": 10**5000}, "count must be at most 2147483647, got a number of 5001 digits"),
        (positive, {"count": -(10**5000)}, "count must be at most 2147483647, got a number of 5001 digits"),
        (positive, {"count": 2**63}, "count must be at most 2147483647, got 9223372036854775808"),
        (positive, {"count": 1.0}, "count must be an integer, got 1.0"),
        (positive, {"count": True}, "count must be an integer, got True"),
        (positive, {"rate": "1"}, "rate must be a number, got '1'"),
        (positive, {"rate": None}, "rate must be a number, got None"),
        (between, {"rate": 1.5}, "^rate must be from 0 to 1, got 1.5$"),
        (between, {"count": 2**63}, "count must be from 0 to 1, got 9223372036854775808"),
    ],
)
def test_values_out_of_range_are_named_with_the_allowed_range(check, values, message):
    with pytest.raises(UserError, match=message):
        check(Values(**values))


@pytest.mark.parametrize("text", ["a photo", "{} and {}", "a {0}", "a {x} of {}", "{}}", "{{}}"])
def test_templates_have_one_placeholder_for_the_name(text):
    with pytest.raises(UserError, match="needs exactly one {} where the class name goes"):
        checks.template("template", text)
    checks.template("template", "a photo of a {}.")


def test_long_values_are_shortened():
    assert shown("x" * 500).endswith("... (502 characters)")
    assert shown(-(10**50)) == "a number of 51 digits" and shown(10**30) == str(10**30)
