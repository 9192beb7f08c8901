"""Tables of images that are refused, or read with a warning."""

import warnings

import pytest

from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.custom.csv import Csv
from cliptune.errors import UserError
from image_tables import counts, plain, write


def test_a_class_number_with_two_names_is_refused(tmp_path, image_paths):
    rows = [(path, i % 2, "abc"[i % 3]) for i, path in enumerate(image_paths)]
    with pytest.raises(UserError, match="calls class 0 'a' before and 'c' in line 4; give each class one name"):
        Csv(write(tmp_path, ("path", "label", "name"), rows))


def test_missing_images_are_refused_or_skipped(tmp_path, image_paths):
    rows = [*plain(image_paths), ("photos/cat/77.png", "cat"), ("nowhere/1.png", "cat")]
    path = write(tmp_path, ("path", "label"), rows)
    missing = "2 of 22 images of .* do not exist: photos/cat/77.png \\(line 22\\), nowhere/1.png \\(line 23\\)"
    with pytest.raises(
        UserError, match=missing + "; paths are relative to .* \\(another folder: --root; skip them: --skip-bad"
    ):
        Csv(path)
    with pytest.warns(UserWarning, match=missing + "; ignored"):
        assert counts(Csv(path, DataConfig(skip_bad=True))) == [10, 4, 6]


def test_classes_without_training_images_are_ignored(tmp_path, image_paths):
    rows = [(path, name, "train") for path, name in plain(image_paths)]
    rows[0] = (image_paths[0], "ant", "test")
    rows[1] = (image_paths[1], "cat", "test")
    rows[-1] = (image_paths[-1], "red_fox", "test")
    with pytest.warns(UserWarning, match="^no training images of ant in .*list.csv; ignored$"):
        table = Csv(write(tmp_path, ("path", "label", "split"), rows))
    assert [e.key for e in table.examples("test")] == [image_paths[1], image_paths[-1]]


def test_duplicate_lines_are_ignored_unless_they_differ(tmp_path, image_paths):
    with pytest.warns(UserWarning, match="^1 lines of .* repeat others; ignored"):
        assert counts(Csv(write(tmp_path, ("path", "label"), plain([*image_paths, image_paths[0]])))) == [10, 4, 6]
    with pytest.raises(
        UserError, match="lines 2 and 22 of .* both list photos/cat/0.png, and differ; list each image once"
    ):
        Csv(write(tmp_path, ("path", "label"), [*plain(image_paths), (image_paths[0], "dog")]))


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "is empty; expected a header line such as path,label"),
        ("\n\n", "is empty"),
        ("path,label\n", "has a header, but no lines below it"),
        ("a/1.jpg,cat\na/2.jpg,dog\n", "has no header line; begin it with one such as path,label"),
        ("path,label\na.jpg,cat,x\n", "line 2 of .* has 3 fields, but the header has 2; put quotes around"),
        ('path,label\n"a.jpg,cat\nb.jpg,dog\n', "cannot be read after line 3 .*; check the quotes"),
        ("path,label\na.jpg,\n", "no path or no label in line 2 of .*; fill it in"),
        (
            "path,size\na.jpg,3\n",
            "which column of .* contains the labels\\? It has path, size; rename one to label, or .* --label-column",
        ),
    ],
)
def test_malformed_tables_are_refused(tmp_path, text, reason):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(UserError, match=reason):
        Csv(tmp_path / "list.csv")


@pytest.mark.parametrize(
    "part, reason",
    [
        ("holdout", "split 'holdout' in line 2 of .* is none of train, val, test"),
        ("", "split '' in line 2 of .* is none of train, val, test"),
        ("val", "lists validation images only; no line has train or test in the column split"),
    ],
)
def test_invalid_splits_are_refused(tmp_path, image_paths, part, reason):
    rows = [(*row, part) for row in plain(image_paths)]
    with pytest.raises(UserError, match=reason):
        Csv(write(tmp_path, ("path", "label", "split"), rows))


def test_a_single_class_is_refused(tmp_path, image_paths):
    with pytest.raises(UserError, match=r"list.csv has one class only \(cat\); classification needs at least two"):
        Csv(write(tmp_path, ("path", "label"), plain(image_paths[:10])))


def test_paths_that_are_not_text_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="csv needs a file: --data csv:FILE"):
        sources.get("csv")
    with pytest.raises(UserError, match="no file at .*none.csv; check the path after csv:"):
        sources.get(f"csv:{tmp_path}/none.csv")
    with pytest.raises(UserError, match="is a folder, not a table; folders of classes are read by folder:"):
        sources.get(f"csv:{tmp_path}")
    (tmp_path / "list.csv").write_bytes("path,label\nä.jpg,x\n".encode("latin-1"))
    with pytest.raises(UserError, match="is not UTF-8 text; save it as CSV in UTF-8"):
        sources.get(f"csv:{tmp_path}/list.csv")


def test_a_valid_table_gives_no_warning(tmp_path, image_paths):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Csv(write(tmp_path, ("path", "label"), plain(image_paths)))
