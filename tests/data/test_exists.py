"""Existence checks of image files."""

import os

import pytest

from cliptune.data.exists import missing_files
from cliptune.errors import UserError


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_missing_files_are_in_the_order_of_the_request(tmp_path):
    tree(tmp_path, "a/1.jpg", "a/b/2.jpg", "3.jpg")
    asked = ["z/1.jpg", "a/1.jpg", "a/b/2.jpg", "a/b/9.jpg", "3.jpg", "4.jpg", "a/b/c/5.jpg", "3.jpg/6.jpg"]
    assert missing_files(tmp_path, asked) == ["z/1.jpg", "a/b/9.jpg", "4.jpg", "a/b/c/5.jpg", "3.jpg/6.jpg"]
    assert missing_files(tmp_path / "none", ["1.jpg"]) == ["1.jpg"]
    assert missing_files(tmp_path, []) == []


def test_folder_names_are_case_sensitive(tmp_path):
    tree(tmp_path, "Faces/image_1.jpg")
    assert missing_files(tmp_path, ["faces/image_1.jpg", "Faces/Image_1.jpg", "Faces/image_1.JPG"]) == [
        "faces/image_1.jpg",
        "Faces/Image_1.jpg",
        "Faces/image_1.JPG",
    ]


def test_each_folder_is_listed_once(tmp_path, monkeypatch):
    tree(tmp_path, *(f"{c}/{n}.jpg" for c in "abc" for n in range(9)))
    listed, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    assert missing_files(tmp_path, [f"{c}/{n}.jpg" for n in range(9) for c in "abc"]) == []
    assert len(listed) == len(set(listed)) == 4


def test_a_broken_link_is_missing(tmp_path):
    tree(tmp_path, "real.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "real.jpg")
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "gone.jpg")
    assert missing_files(tmp_path, ["real.jpg", "link.jpg", "dead.jpg"]) == ["dead.jpg"]


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot list .* \(permission denied\); check its permissions"):
        missing_files(tmp_path, ["1.jpg"])
