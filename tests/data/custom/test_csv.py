"""Tables of images: their columns, paths, splits and labels."""

from pathlib import PurePosixPath

import pytest

import cliptune as ct
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.custom.csv import Csv, _parts
from cliptune.data.custom.folder import Folder
from cliptune.errors import UserError
from image_tables import PARTS, counts, plain, write


def test_a_table_without_splits_is_split_like_its_folder(tmp_path, image_paths):
    table = Csv(write(tmp_path, ("path", "label"), plain(image_paths)))
    folder = Folder(tmp_path / "photos")
    assert table.classnames == folder.classnames == ("cat", "red fox")
    for part in PARTS:
        assert [(f"photos/{e.key}", e.label) for e in folder.examples(part)] == [
            (e.key, e.label) for e in table.examples(part)
        ]
    assert table.read(table.examples("val")[0]).image.shape == (3, 6, 8)


def test_the_order_of_lines_does_not_matter(tmp_path, image_paths):
    one = Csv(write(tmp_path, ("path", "label"), plain(image_paths)))
    other = Csv(write(tmp_path, ("path", "label"), plain(image_paths)[::-1]))
    assert all(one.examples(part) == other.examples(part) for part in PARTS)


def test_the_split_column_is_used(tmp_path, image_paths):
    splits = ["train", "TRAINING", "val", "Validation", "dev", "test", "testing", "train", "train", "train"] * 2
    rows = [(*row, part) for row, part in zip(plain(image_paths), splits, strict=True)]
    table = Csv(write(tmp_path, ("path", "label", "split"), rows))
    assert counts(table) == [10, 6, 4]
    assert [e.key for e in table.examples("test")] == [
        f"photos/{c}/{i}.png" for c in ("cat", "red_fox") for i in (5, 6)
    ]


def test_training_images_are_not_split_off_if_there_is_a_test_split(tmp_path, image_paths):
    rows = [(*row, "test" if i % 2 else "train") for i, row in enumerate(plain(image_paths))]
    table = Csv(write(tmp_path, ("path", "label", "split"), rows))
    assert counts(table) == [10, 0, 10] and len(table.aside()) == 2
    assert set(table.aside()) < set(table.examples("train"))


def test_a_missing_test_split_is_drawn_from_the_training_images(tmp_path, image_paths):
    rows = [(*row, "val" if i % 2 else "train") for i, row in enumerate(plain(image_paths))]
    assert counts(Csv(write(tmp_path, ("path", "label", "split"), rows))) == [6, 10, 4]


def test_a_table_of_test_images_is_a_test_set(tmp_path, image_paths):
    rows = [(*row, "test") for row in plain(image_paths)]
    table = Csv(write(tmp_path, ("path", "label", "split"), rows))
    assert counts(table) == [0, 0, 20] and len(table.evaluation_examples()) == 20
    assert ct.train("zeroshot", data=f"csv:{table.file}").evaluate().keys() == {"test"}
    with pytest.raises(UserError, match=r"no training images, as it is a test set: .*cliptune evaluate RUN --data"):
        ct.train("coop", data=f"csv:{table.file}")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header", [("path", "label"), ("File Name", "Class"), ("IMAGE", "category"), ("img_path", "target")]
)
def test_common_column_names_are_recognised(tmp_path, image_paths, delimiter, header):
    rows = [(f'"{path}"', name) for path, name in plain(image_paths)]
    assert counts(Csv(write(tmp_path, header, rows, delimiter))) == [10, 4, 6]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_and_line_ends_of_spreadsheets_are_read(tmp_path, image_paths, encoding):
    rows = [(path, name.replace("cat", "Käse")) for path, name in plain(image_paths)]
    path = write(tmp_path, ("path", "label"), rows, encoding=encoding)
    text = path.read_bytes().decode(encoding)
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert Csv(path).classnames == ("Käse", "red fox")


def test_a_quoted_field_may_contain_the_delimiter(tmp_path, image_paths):
    rows = [(path, '"cat, tame"' if name == "cat" else name) for path, name in plain(image_paths)]
    assert Csv(write(tmp_path, ("path", "label"), rows)).classnames == ("cat, tame", "red fox")


def test_columns_can_be_set(tmp_path, image_paths):
    rows = [(name, f"x{i}", path, "b" if i % 2 else "a") for i, (path, name) in enumerate(plain(image_paths))]
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


def test_numeric_labels_keep_their_order(tmp_path, image_paths):
    rows = [(path, 10 if "cat" in path else 9) for path in image_paths]
    path = write(tmp_path, ("path", "label"), rows)
    with pytest.warns(UserWarning, match="names such as '9' in .* are not words .*a column of names, or a classes.txt"):
        table = Csv(path)
    assert table.classnames == ("9", "10") and "red_fox" in table.examples("train")[0].key
    assert Csv(write(tmp_path, ("path", "label", "name"), [(*r, f"N{r[1]}") for r in rows])).classnames == ("N9", "N10")


def test_class_names_are_read_from_classes_txt(tmp_path, image_paths):
    path = write(tmp_path, ("path", "label"), [(path, int("fox" in path)) for path in image_paths])
    (tmp_path / "classes.txt").write_text("house_cat\nFox\n")
    assert Csv(path).classnames == ("house cat", "Fox")
    write(tmp_path, ("path", "label"), [(path, 1 + int("fox" in path)) for path in image_paths])
    with pytest.raises(
        UserError, match="classes.txt names classes 0 to 1, but .* has class 2; add its line, or count from 0"
    ):
        Csv(path)


def test_the_mask_column_is_read(tmp_path, image_paths):
    rows = [(path, name, path.replace("photos", "masks") if name == "cat" else "") for path, name in plain(image_paths)]
    table = Csv(write(tmp_path, ("path", "label", "mask"), rows))
    for example in table.examples("train"):
        cat = example.key.startswith("photos/cat")
        assert example.mask == (tmp_path / example.key.replace("photos", "masks") if cat else None)


def test_raw_names_are_kept_unchanged(tmp_path, image_paths):
    path = write(tmp_path, ("path", "label"), plain(image_paths))
    assert sources.get(f"csv:{path}", DataConfig(raw_names=True)).classnames == ("cat", "red_fox")


def test_paths_are_relative_to_the_given_root(tmp_path, image_paths):
    (tmp_path / "lists").mkdir()
    path = write(tmp_path / "lists", ("path", "label"), plain(image_paths))
    with pytest.raises(UserError, match=f"20 of 20 images .* not exist: .*; paths are relative to {tmp_path}/lists"):
        Csv(path)
    assert counts(Csv(path, DataConfig(root=str(tmp_path)))) == [10, 4, 6]
    absolute = write(tmp_path / "lists", ("path", "label"), [(tmp_path / p, name) for p, name in plain(image_paths)])
    assert counts(Csv(absolute)) == [10, 4, 6]
    windows = write(
        tmp_path, ("path", "label"), [(".\\" + p.replace("/", "\\"), name) for p, name in plain(image_paths)]
    )
    assert {e.key for e in Csv(windows).examples("test")} <= set(image_paths)


@pytest.mark.parametrize("key", ["a.jpg", "b/a b.jpg", "/c/d.jpg", "//c/d.jpg", "../e/f.jpg", ".g/h.jpg", "..", "i./j"])
def test_order_is_that_of_the_parts_of_paths(key):
    assert _parts(key) == PurePosixPath(key).parts
