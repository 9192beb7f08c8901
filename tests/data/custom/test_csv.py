"""Tables of pictures: their columns, their paths, their labels, and what may be wrong with them."""

import warnings
from pathlib import Path

import pytest
from PIL import Image

from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.custom.csv import Csv
from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError

PARTS = ("train", "val", "test")


@pytest.fixture
def pictures(tmp_path):
    """`photos/cat/0.png` ... `9.png`, and as many of `red_fox`; gives their paths."""
    names = [f"photos/{name}/{i}.png" for name in ("cat", "red_fox") for i in range(10)]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (int(path.stem), 0, 0)).save(path)
    return names


def write(folder: Path, header, rows, delimiter=",", name="list.csv", encoding="utf-8") -> Path:
    lines = [delimiter.join(map(str, row)) for row in (header, *rows)]
    path = folder / name
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def plain(pictures):
    return [(path, path.split("/")[1]) for path in pictures]


def counts(dataset):
    return [len(dataset.examples(part)) for part in PARTS]


def test_a_table_without_splits_is_cut_as_the_folder_is(tmp_path, pictures):
    table = Csv(write(tmp_path, ("path", "label"), plain(pictures)))
    folder = Folder(tmp_path / "photos")
    assert table.classnames == folder.classnames == ("cat", "red fox")
    for part in PARTS:
        assert [(f"photos/{e.key}", e.label) for e in folder.examples(part)] == [
            (e.key, e.label) for e in table.examples(part)
        ]
    assert table.read(table.examples("val")[0]).image.shape == (3, 6, 8)


def test_the_order_of_lines_does_not_matter(tmp_path, pictures):
    one = Csv(write(tmp_path, ("path", "label"), plain(pictures)))
    other = Csv(write(tmp_path, ("path", "label"), plain(pictures)[::-1]))
    assert all(one.examples(part) == other.examples(part) for part in PARTS)


def test_splits_are_taken_as_they_are(tmp_path, pictures):
    said = ["train", "TRAINING", "val", "Validation", "dev", "test", "testing", "train", "train", "train"] * 2
    rows = [(*row, part) for row, part in zip(plain(pictures), said, strict=True)]
    table = Csv(write(tmp_path, ("path", "label", "split"), rows))
    assert counts(table) == [10, 6, 4]
    assert [e.key for e in table.examples("test")] == [
        f"photos/{c}/{i}.png" for c in ("cat", "red_fox") for i in (5, 6)
    ]


def test_nothing_is_taken_from_training_beside_a_test_part(tmp_path, pictures):
    rows = [(*row, "test" if i % 2 else "train") for i, row in enumerate(plain(pictures))]
    table = Csv(write(tmp_path, ("path", "label", "split"), rows))
    assert counts(table) == [10, 0, 10] and len(table.aside()) == 2
    assert set(table.aside()) < set(table.examples("train"))


def test_a_test_part_that_is_missing_takes_its_share(tmp_path, pictures):
    rows = [(*row, "val" if i % 2 else "train") for i, row in enumerate(plain(pictures))]
    assert counts(Csv(write(tmp_path, ("path", "label", "split"), rows))) == [6, 10, 4]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header", [("path", "label"), ("File Name", "Class"), ("IMAGE", "category"), ("img_path", "target")]
)
def test_columns_by_what_people_call_them(tmp_path, pictures, delimiter, header):
    rows = [(f'"{path}"', name) for path, name in plain(pictures)]
    assert counts(Csv(write(tmp_path, header, rows, delimiter))) == [10, 4, 6]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_as_programs_save_it(tmp_path, pictures, encoding):
    rows = [(path, name.replace("cat", "Käse")) for path, name in plain(pictures)]
    path = write(tmp_path, ("path", "label"), rows, encoding=encoding)
    text = path.read_bytes().decode(encoding)
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert Csv(path).classnames == ("Käse", "red fox")


def test_a_field_in_quotes_may_hold_the_separator(tmp_path, pictures):
    rows = [(path, '"cat, tame"' if name == "cat" else name) for path, name in plain(pictures)]
    assert Csv(write(tmp_path, ("path", "label"), rows)).classnames == ("cat, tame", "red fox")


def test_columns_that_are_named(tmp_path, pictures):
    rows = [(name, f"x{i}", path, "b" if i % 2 else "a") for i, (path, name) in enumerate(plain(pictures))]
    path = write(tmp_path, ("label", "note", "where", "Animal kind"), rows)
    reading = DataConfig(image_column="where", label_column="animal kind")
    assert Csv(path, reading).classnames == ("a", "b")
    with pytest.raises(
        UserError,
        match="which column of .* contains the image paths\\? It has label, note, where, Animal kind; .*--image-col",
    ):
        Csv(path)
    with pytest.raises(UserError, match="has no column 'wher'; it has label, note, where, Animal kind"):
        Csv(path, DataConfig(image_column="wher"))


def test_numbers_keep_their_order(tmp_path, pictures):
    rows = [(path, 10 if "cat" in path else 9) for path in pictures]
    path = write(tmp_path, ("path", "label"), rows)
    with pytest.warns(UserWarning, match="names such as '9' in .* are not words .*a column of names, or a classes.txt"):
        table = Csv(path)
    assert table.classnames == ("9", "10") and "red_fox" in table.examples("train")[0].key
    assert Csv(write(tmp_path, ("path", "label", "name"), [(*r, f"N{r[1]}") for r in rows])).classnames == ("N9", "N10")


def test_names_in_a_file_beside(tmp_path, pictures):
    path = write(tmp_path, ("path", "label"), [(path, int("fox" in path)) for path in pictures])
    (tmp_path / "classes.txt").write_text("house_cat\nFox\n")
    assert Csv(path).classnames == ("house cat", "Fox")
    write(tmp_path, ("path", "label"), [(path, 1 + int("fox" in path)) for path in pictures])
    with pytest.raises(
        UserError, match="classes.txt names classes 0 to 1, but .* has class 2; add its line, or count from 0"
    ):
        Csv(path)


def test_a_number_of_two_names(tmp_path, pictures):
    rows = [(path, i % 2, "abc"[i % 3]) for i, path in enumerate(pictures)]
    with pytest.raises(UserError, match="calls class 0 'a' before and 'c' in line 4; give each class one name"):
        Csv(write(tmp_path, ("path", "label", "name"), rows))


def test_masks(tmp_path, pictures):
    rows = [(path, name, path.replace("photos", "masks") if name == "cat" else "") for path, name in plain(pictures)]
    table = Csv(write(tmp_path, ("path", "label", "mask"), rows))
    for example in table.examples("train"):
        cat = example.key.startswith("photos/cat")
        assert example.mask == (tmp_path / example.key.replace("photos", "masks") if cat else None)


def test_names_are_made_readable_unless_told_not_to(tmp_path, pictures):
    path = write(tmp_path, ("path", "label"), plain(pictures))
    assert sources.get(f"csv:{path}", DataConfig(raw_names=True)).classnames == ("cat", "red_fox")


def test_paths_count_from_the_root_that_is_given(tmp_path, pictures):
    (tmp_path / "lists").mkdir()
    path = write(tmp_path / "lists", ("path", "label"), plain(pictures))
    with pytest.raises(UserError, match=f"20 of 20 images .* not there: .*; paths count from {tmp_path}/lists"):
        Csv(path)
    assert counts(Csv(path, DataConfig(root=str(tmp_path)))) == [10, 4, 6]
    absolute = write(tmp_path / "lists", ("path", "label"), [(tmp_path / p, name) for p, name in plain(pictures)])
    assert counts(Csv(absolute)) == [10, 4, 6]
    windows = write(tmp_path, ("path", "label"), [(".\\" + p.replace("/", "\\"), name) for p, name in plain(pictures)])
    assert {e.key for e in Csv(windows).examples("test")} <= set(pictures)


def test_pictures_that_are_not_there(tmp_path, pictures):
    rows = [*plain(pictures), ("photos/cat/77.png", "cat"), ("nowhere/1.png", "cat")]
    path = write(tmp_path, ("path", "label"), rows)
    said = "2 of 22 images of .* are not there: photos/cat/77.png \\(line 22\\), nowhere/1.png \\(line 23\\)"
    with pytest.raises(
        UserError, match=said + "; paths count from .* \\(another folder: --root; leave out: --skip-bad"
    ):
        Csv(path)
    with pytest.warns(UserWarning, match=said + ": left out"):
        assert counts(Csv(path, DataConfig(skip_bad=True))) == [10, 4, 6]


def test_a_class_that_is_only_tested(tmp_path, pictures):
    rows = [(path, name, "train") for path, name in plain(pictures)]
    rows[0] = (pictures[0], "ant", "test")
    rows[1] = (pictures[1], "cat", "test")
    rows[-1] = (pictures[-1], "red_fox", "test")
    with pytest.warns(UserWarning, match="^no training images of ant in .*list.csv: left out$"):
        table = Csv(write(tmp_path, ("path", "label", "split"), rows))
    assert [e.key for e in table.examples("test")] == [pictures[1], pictures[-1]]


def test_a_line_said_twice(tmp_path, pictures):
    with pytest.warns(UserWarning, match="^1 lines of .* repeat others: left out"):
        assert counts(Csv(write(tmp_path, ("path", "label"), plain([*pictures, pictures[0]])))) == [10, 4, 6]
    with pytest.raises(
        UserError, match="lines 2 and 22 of .* both list photos/cat/0.png, and differ; list each image once"
    ):
        Csv(write(tmp_path, ("path", "label"), [*plain(pictures), (pictures[0], "dog")]))


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
            "which column of .* contains the labels\\? It has path, size; name one label, or .* --label-column",
        ),
    ],
)
def test_what_is_no_table(tmp_path, text, reason):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(UserError, match=reason):
        Csv(tmp_path / "list.csv")


@pytest.mark.parametrize(
    "part, reason",
    [
        ("holdout", "split 'holdout' in line 2 of .* is none of train, val, test"),
        ("", "split '' in line 2 of .* is none of train, val, test"),
        ("test", "lists no training images; split says which those are"),
    ],
)
def test_splits_that_cannot_be(tmp_path, pictures, part, reason):
    rows = [(*row, part) for row in plain(pictures)]
    with pytest.raises(UserError, match=reason):
        Csv(write(tmp_path, ("path", "label", "split"), rows))


def test_one_class(tmp_path, pictures):
    with pytest.raises(UserError, match=r"list.csv has one class only \(cat\); classification needs at least two"):
        Csv(write(tmp_path, ("path", "label"), plain(pictures[:10])))


def test_what_is_no_file_and_no_text(tmp_path):
    with pytest.raises(UserError, match="csv needs a file: --data csv:FILE"):
        sources.get("csv")
    with pytest.raises(UserError, match="no file at .*none.csv; check the path after csv:"):
        sources.get(f"csv:{tmp_path}/none.csv")
    with pytest.raises(UserError, match="is a folder, not a table; folders of classes are read by folder:"):
        sources.get(f"csv:{tmp_path}")
    (tmp_path / "list.csv").write_bytes("path,label\nä.jpg,x\n".encode("latin-1"))
    with pytest.raises(UserError, match="is not UTF-8 text; save it as CSV in UTF-8"):
        sources.get(f"csv:{tmp_path}/list.csv")


def test_nothing_is_said_of_a_good_table(tmp_path, pictures):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Csv(write(tmp_path, ("path", "label"), plain(pictures)))
