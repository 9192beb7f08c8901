"""Split files: read as published, otherwise refused in one sentence."""

import json

import pytest

from cliptune.data import split_file
from cliptune.errors import UserError

GOOD = {
    "train": [["b/1.jpg", 1, "bee"], ["a/1.jpg", 0, "ant"]],
    "val": [["a/2.jpg", 0, "ant"]],
    "test": [["b/2.jpg", 1, "bee"]],
}


def read(tmp_path, content):
    file = tmp_path / "split.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return split_file.read_split_file(file, tmp_path / "images")


def test_names_by_label_and_items_in_the_files_order(tmp_path):
    names, parts = read(tmp_path, GOOD)
    assert names == ("ant", "bee")
    assert [(e.key, e.label) for e in parts["train"]] == [("b/1.jpg", 1), ("a/1.jpg", 0)]
    assert parts["test"][0].path == tmp_path / "images" / "b" / "2.jpg"
    assert [len(parts[part]) for part in ("train", "val", "test")] == [2, 1, 1]


def with_item(*item, part="test"):
    return {**GOOD, part: [list(item)]}


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "is not a split file .*JSONDecodeError"),
        ("[]", "is not a split file .*it contains a list"),
        ('{"train": [], "test": []}', "no list val in it"),
        ('{"train": 3, "val": []}', "no list train or test in it"),
        ({**GOOD, "train": []}, "lists no training images; get the published file"),
        (with_item("a.jpg", 3, "wasp"), "the labels of .* are not 0 to 2"),
        (with_item("a.jpg", -1, "wasp"), "the labels of .* are not 0 to 2"),
        (with_item("a.jpg", "1", "bee"), "test entry 0 is .*'1'"),
        (with_item("a.jpg", 1.0, "bee"), "test entry 0 is "),
        (with_item("a.jpg", True, "bee"), "test entry 0 is "),
        (with_item("a.jpg", 1), "test entry 0 is "),
        (with_item("a.jpg", 1, " "), "test entry 0 is "),
        (with_item("", 1, "bee"), "test entry 0 is "),
        (with_item("a.jpg", 1, "wasp"), "label 1 two names, 'bee' and 'wasp'"),
        (with_item("a/1.jpg", 0, "ant"), "lists a/1.jpg twice, in train and in test"),
        (with_item("../a.jpg", 1, "bee"), "must be relative to the image folder"),
        (with_item("a/../../b.jpg", 1, "bee"), "must be relative to the image folder"),
        (with_item("/etc/passwd", 1, "bee"), "must be relative to the image folder"),
        (with_item("C:/a.jpg", 1, "bee"), "must be relative to the image folder"),
        (with_item("a\\1.jpg", 1, "bee"), "must be relative to the image folder"),
    ],
)
def test_invalid_content_is_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, content)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.json: no such file"):
        split_file.read_split_file(tmp_path / "none.json", tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"bytes\.json: byte 0 is not UTF-8"):
        split_file.read_split_file(tmp_path / "bytes.json", tmp_path)
