from cliptune.report.confusion import ConfusionCounts, most_changed_classes, most_confused_pairs

ONE = ConfusionCounts(
    "base",
    ("cat", "dog", "cow", "empty"),
    "zeroshot",
    {
        "zeroshot": [[8, 2, 0, 0], [5, 5, 0, 0], [0, 0, 10, 0], [0, 0, 0, 0]],
        "coop": [[9, 1, 0, 0], [0, 10, 0, 0], [0, 6, 4, 0], [0, 0, 0, 0]],
    },
)


def test_changes_are_in_points_of_each_class():
    assert ONE.num_images == 30
    assert ONE.accuracy("coop", 2) == 40 and ONE.accuracy("coop", 3) is None
    assert ONE.changes("coop") == {0: 10, 1: 50, 2: -60}


def test_the_most_changed_from_gained_to_lost():
    assert most_changed_classes(ONE) == [1, 0, 2]
    assert most_changed_classes(ONE, 2) == [1, 2]
    assert most_changed_classes(ConfusionCounts("base", ("a",), "zeroshot", {"zeroshot": [[1]]})) == []


def test_classes_of_few_images_come_last():
    counts = {
        "zeroshot": [[1, 1, 0], [0, 20, 10], [0, 0, 9]],
        "coop": [[2, 0, 0], [0, 26, 4], [0, 0, 9]],
    }
    some = ConfusionCounts("test", ("ant", "cup", "owl"), "zeroshot", counts)
    assert some.changes("coop")[0] == 50 > some.changes("coop")[1] and most_changed_classes(some, 1) == [1]
    assert [(pair.true, pair.predicted) for pair in most_confused_pairs(some)] == [(1, 2), (0, 1)]


def test_the_most_confused_pairs():
    found = most_confused_pairs(ONE, 2)
    assert [(m.true, m.predicted) for m in found] == [(2, 1), (1, 0)]
    assert found[0].share == {"zeroshot": 0, "coop": 60}
