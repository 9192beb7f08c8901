"""`predict FOLDER`: system files are ignored, unsupported types counted, unreadable files refused or skipped."""

import json
import shutil

import pytest
from PIL import Image


@pytest.fixture
def new(tmp_path, photos):
    """Three images in two folders, with the files that viewers and phones leave there."""
    root = tmp_path / "new"
    for name, source in (("a 1.png", "cat/0.png"), ("ü/b.PNG", "pig/1.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / source, root / name)
    Image.open(photos / "pig" / "2.png").save(root / "ü" / "c.ppm")
    for name in ("._a 1.png", "Thumbs.db", ".DS_Store", "desktop.ini", "__MACOSX/x.jpg", ".hidden/x.jpg", "notes.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"litter")
    return root


def names(result) -> list[str]:
    return [json.loads(line)["picture"] for line in result.out.splitlines()]


def test_system_files_are_ignored_silently(cli, trained, new):
    result = cli("predict", trained, new, "--json")
    assert result.code == 0 and result.err == ""
    assert names(result) == [str(new / name) for name in ("a 1.png", "ü/b.PNG", "ü/c.ppm")]


def test_unsupported_file_types_are_counted(cli, trained, new):
    for name in ("a.JXL", "b.jxl", "c.cr2"):
        (new / name).write_bytes(b"x")
    result = cli("predict", trained, new, "--json")
    assert result.code == 0 and len(names(result)) == 3
    assert f"3 of the files in {new} have unsupported types (.jxl: 2, .cr2: 1) and are ignored" in result.err


def test_a_folder_without_images_is_refused(refused, trained, tmp_path):
    (tmp_path / "x.jxl").write_bytes(b"x")
    assert f"no images in {tmp_path}; 1 of the files" in refused("predict", trained, tmp_path)
    assert "check the path" in refused("predict", trained, tmp_path / "nowhere")


def test_unreadable_images_stop_it_before_the_first_prediction(refused, trained, new):
    (new / "z.jpg").write_bytes(b"")
    result = refused("predict", trained, new)
    assert f"1 of 4 images cannot be read: {new / 'z.jpg'} is empty; remove or replace it, or leave it out" in result


def test_unreadable_images_can_be_skipped(cli, trained, new, photos):
    whole = (photos / "cat" / "1.png").read_bytes()
    (new / "y.png").write_bytes(whole[:-300] + bytes(280) + whole[-20:])  # header and end intact, damaged inside
    (new / "z.jpg").write_bytes(b"")
    result = cli("predict", trained, new, "--skip-bad", "--json")
    assert result.code == 0 and len(names(result)) == 3
    assert "2 of 5 images cannot be read and are left out: " in result.err and f"{new / 'z.jpg'} is empty" in result.err
    assert cli("predict", trained, new / "z.jpg", "--skip-bad").code == 2
