"""Moving an unpacked dataset to its place under the root."""

import errno
import os
from pathlib import Path

import pytest

from cliptune.data.public.download import place
from cliptune.data.public.download.place import find_home, merge


def grow(folder: Path, *names: str, text: str = "new") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def tree(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("above", ["", "dtd", "data/dtd", "a/b/c"])
def test_the_dataset_folder_is_found_in_any_archive(tmp_path, above):
    grow(tmp_path / above, "images/banded/x.jpg", "split.json")
    grow(tmp_path, "other/readme.txt")
    assert find_home(tmp_path, "images") == tmp_path / above
    assert find_home(tmp_path, "jpg") is None


def test_all_files_are_moved(tmp_path):
    source = grow(tmp_path / "from", "images/a/1.jpg", "images/b/2.jpg", "split.json")
    assert merge(source, tmp_path / "to" / "dtd") == 0
    assert sorted(tree(tmp_path / "to" / "dtd")) == ["images/a/1.jpg", "images/b/2.jpg", "split.json"]
    assert not source.exists()


def test_existing_files_are_kept_and_counted(tmp_path):
    source = grow(tmp_path / "from", "images/a/1.jpg", "images/a/2.jpg", "images/b/3.jpg", "split.json")
    target = grow(tmp_path / "to", "images/a/1.jpg", "split.json", "mine.txt", text="mine")
    assert merge(source, target) == 2
    assert tree(target) == {
        "images/a/1.jpg": "mine",
        "images/a/2.jpg": "new",
        "images/b/3.jpg": "new",
        "split.json": "mine",
        "mine.txt": "mine",
    }


def test_the_file_that_marks_completeness_is_moved_last(tmp_path, monkeypatch):
    source = grow(tmp_path / "from", "images/a/1.jpg", "labels/x.txt", "split.json")
    (tmp_path / "to").mkdir()
    moved, real = [], os.rename
    monkeypatch.setattr(os, "rename", lambda a, b: (moved.append(Path(a).name), real(a, b)))
    merge(source, tmp_path / "to", last="images")
    assert moved == ["labels", "split.json", "images"]


def test_to_another_disk(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(place.os, "rename", refuse)
    source = grow(tmp_path / "from", "images/a/1.jpg", "split.json")
    assert merge(source, tmp_path / "to") == 0
    assert tree(tmp_path / "to") == {"images/a/1.jpg": "new", "split.json": "new"}
