from cliptune.results.classes import ByClass, most_changed, most_confused

ONE = ByClass(
    "base",
    ("cat", "dog", "cow", "empty"),
    "zeroshot",
    {
        "zeroshot": [[8, 2, 0, 0], [5, 5, 0, 0], [0, 0, 10, 0], [0, 0, 0, 0]],
        "coop": [[9, 1, 0, 0], [0, 10, 0, 0], [0, 6, 4, 0], [0, 0, 0, 0]],
    },
)


def test_changes_are_in_points_of_each_class():
    assert ONE.pictures == 30
    assert ONE.right("coop", 2) == 40 and ONE.right("coop", 3) is None
    assert ONE.changes("coop") == {0: 10, 1: 50, 2: -60}


def test_the_most_changed_from_gained_to_lost():
    assert most_changed(ONE) == [1, 0, 2]
    assert most_changed(ONE, 2) == [1, 2]
    assert most_changed(ByClass("base", ("a",), "zeroshot", {"zeroshot": [[1]]})) == []


def test_the_most_confused_pairs():
    found = most_confused(ONE, 2)
    assert [(m.true, m.taken) for m in found] == [(2, 1), (1, 0)]
    assert found[0].share == {"zeroshot": 0, "coop": 60}
