"""Several labels in one cell: when a cell is a list, when one name, and the note about it."""

import warnings

import pytest

from cliptune.data.custom.common.multi_label import label_splitter
from cliptune.errors import UserError


def split(cells, **options):
    """The labels of each cell, and the notes."""
    with warnings.catch_warnings(record=True, action="always") as error:
        divide = label_splitter(cells, "x", **options)
    return [divide(cell) if divide else (cell,) for cell in cells], [str(note.message) for note in error]


@pytest.mark.parametrize(
    "cell",
    ["cat|dog", "cat | dog", '["cat", "dog"]', "['cat', 'dog']", "('cat', 'dog')", "['cat' 'dog']", "cat|dog|cat"],
)
def test_lists_and_bars_separate_labels(cell):
    found, notes = split([cell, "cat", "bird"])
    assert found == [("cat", "dog"), ("cat",), ("bird",)]
    assert notes == [
        f"labels of x such as {cell!r} are read as several (cat, dog): 1 of 3 images show more than one class "
        f"(--label-separator none makes each cell one class)"
    ]


@pytest.mark.parametrize("separator", [";", ","])
def test_other_separators_count_if_their_parts_are_labels_too(separator):
    found, notes = split([f"cat{separator} dog", "cat", "dog", f"bird{separator}dog"])
    assert found == [("cat", "dog"), ("cat",), ("dog",), ("bird", "dog")] and len(notes) == 1


@pytest.mark.parametrize(
    "cells, note",
    [
        (["black; white", "red"], "labels of x such as 'black; white' are treated as one class each"),
        (
            ["cat/dog", "cat", "dog"],
            "labels of x such as 'cat/dog' are treated as one class each",
        ),
        (["AC/DC", "Kiss"], ""),
        (["cat, tame", "red fox"], ""),
        (["Tom & Jerry", "Tom"], ""),
        (["[unknown]", "cat"], ""),
        (["C++", "R"], ""),
    ],
)
def test_names_of_one_class_are_not_split(cells, note):
    found, notes = split(cells)
    assert found == [(cell,) for cell in cells]
    assert [notes_expected[: len(note)] for notes_expected in notes] == ([note] if note else [])


def test_the_separator_can_be_set():
    assert split(["cat|dog", "cat"], separator="none") == ([("cat|dog",), ("cat",)], [])
    assert split(["cat/dog", "cat"], separator="/") == ([("cat", "dog"), ("cat",)], [])
    with pytest.raises(UserError, match="no label of x contains '#', such as 'cat'; choose another --label-separator"):
        label_splitter(["cat"], "x", "#")


def test_a_list_of_one_label_is_that_label():
    assert split(["['cat']", "['dog']"]) == ([("cat",), ("dog",)], [])


@pytest.mark.parametrize("name", ["cat|dog", "cat,dog", "cat+dog"])
def test_a_class_named_like_two_others_is_reported(name, tmp_path):
    from cliptune.data.custom.folder import Folder
    from folder_datasets import write_class_folders

    with pytest.warns(UserWarning, match=r"exists next to cat and dog; .* such as cat\|dog \(csv:FILE"):
        assert (
            len(Folder(write_class_folders(tmp_path, **{"cat": 2, "dog": 2, name: 2}), raw_names=True).classnames) == 3
        )


def test_a_table_of_several_labels_is_multi_label(tmp_path):
    """A prediction is correct if its class is one of the image's labels."""
    import cliptune as ct
    from folder_datasets import write_class_folders

    write_class_folders(tmp_path, p=24)
    shown = ["cat|dog", "cat", "dog", "bird|cat"]
    rows = [f"p/{i}.png,{shown[i % 4]},{'test' if i >= 16 else 'train'}" for i in range(24)]
    (tmp_path / "t.csv").write_text("path,label,split\n" + "\n".join(rows))
    with pytest.warns(UserWarning, match="are read as several"):
        run = ct.train("coop", data=f"csv:{tmp_path / 't.csv'}", shots=2, epochs=1)
    assert run.classnames == ("bird", "cat", "dog") and set(run.result.metrics) == {"test", "test/map"}
    data = ct.data.custom.csv.Csv(tmp_path / "t.csv", ct.data.config.DataConfig(label_separator="|"))
    assert {e.key: e.labels for e in data.examples("train")}["p/0.png"] == (1, 2)
    assert data.sizes() == {0: 4, 1: 12, 2: 8}
    assert all(e.label in e.labels for seed in range(4) for e in data.draw(2, seed)[0])
    assert len({e.key for e in data.draw(4, 1)[0]}) == len(data.draw(4, 1)[0])


def test_numbers_with_names(tmp_path):
    from cliptune.data.custom.csv import Csv
    from folder_datasets import write_class_folders

    write_class_folders(tmp_path, p=4)
    lines = ["path,label,name,split", "p/0.png,0|2,cat|pig,train", "p/1.png,1,dog,train", "p/2.png,2,pig,test"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.warns(UserWarning, match="such as '0|2' are read as several"), pytest.warns(match="no test images"):
        data = Csv(tmp_path / "t.csv")
    assert data.classnames == ("cat", "dog", "pig") and data.examples("train")[0].labels == (0, 2)
    (tmp_path / "t.csv").write_text("\n".join(lines).replace("cat|pig", "cat"))
    with pytest.warns(UserWarning), pytest.raises(UserError, match=r"line 2 .* has 2 labels \(0\|2\), but 1 names"):
        Csv(tmp_path / "t.csv")
