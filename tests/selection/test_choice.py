"""The cheapest candidate that is not clearly worse than the most accurate one."""

from itertools import product
from math import comb

import pytest

from cliptune.selection.choice import choose, explain, mcnemar_p


def correct(right: int, images: int = 40) -> list[bool]:
    return [i < right for i in range(images)]


def naive_p(one, other):
    """Enumerate the directions of all images on which the two differ."""
    differ = [b for a, b in zip(one, other, strict=True) if a != b]
    far = abs(2 * sum(differ) - len(differ))
    ways = [abs(2 * sum(way) - len(differ)) for way in product((0, 1), repeat=len(differ))]
    return sum(way >= far for way in ways) / len(ways)


@pytest.mark.parametrize("a,b", [(0, 0), (1, 0), (3, 3), (0, 6), (2, 7), (5, 1)])
def test_mcnemar_enumerates_all_directions(a, b):
    one, other = [True] * a + [False] * b + [True] * 4, [False] * a + [True] * b + [True] * 4
    assert mcnemar_p(one, other) == pytest.approx(naive_p(one, other)) == pytest.approx(mcnemar_p(other, one))


def test_a_clear_winner():
    choice = choose({"zeroshot": correct(10), "coop": correct(20), "maple": correct(38)})
    assert (choice.winner, choice.best, choice.clear) == ("maple", "maple", True)
    assert set(choice.p) == {"zeroshot", "coop"} and max(choice.p.values()) < 0.001
    assert "clear winner: maple" in explain(choice, "zeroshot")


def test_no_clear_winner_takes_the_cheapest_that_is_not_clearly_worse():
    choice = choose({"zeroshot": correct(10), "tip": correct(15), "coop": correct(36), "maple": correct(38)})
    assert (choice.winner, choice.best, choice.clear) == ("coop", "maple", False)
    assert choice.p["coop"] == pytest.approx(0.5) and choice.p["tip"] < 0.05
    sentence = explain(choice, "zeroshot")
    assert sentence.startswith("no clear winner: maple") and "coop is taken" in sentence


def test_zero_shot_wins_if_nothing_is_clearly_better():
    choice = choose({"zeroshot": correct(36), "coop": correct(39)})
    assert (choice.winner, choice.clear) == ("zeroshot", False)
    assert "which learns nothing; zeroshot is taken" in explain(choice, "zeroshot")


def test_zero_shot_wins_if_it_is_the_most_accurate():
    choice = choose({"zeroshot": correct(30), "coop": correct(30), "maple": correct(20)})
    assert (choice.winner, choice.clear, choice.p) == ("zeroshot", True, {})
    assert "no method of the comparison is more accurate than zeroshot" in explain(choice, "zeroshot")


def test_of_equally_accurate_methods_the_cheapest_is_the_best():
    assert choose({"zeroshot": correct(10), "coop": correct(38), "maple": correct(38)}).winner == "coop"


def test_p_values_are_corrected_for_all_comparisons():
    raw = 2 * comb(6, 0) / 2**6
    one = choose({"zeroshot": correct(30), "maple": correct(36)})
    assert one.p == {"zeroshot": pytest.approx(raw)} and one.clear
    two = choose({"zeroshot": correct(30), "coop": correct(30), "maple": correct(36)})
    assert two.p["zeroshot"] == pytest.approx(2 * raw) and two.winner == "zeroshot"
