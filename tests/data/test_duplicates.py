"""Byte-for-byte duplicates under several classes, or in training and test, are counted and named."""

import shutil

import pytest

import cliptune as ct
from cliptune.data import duplicates, image_files
from cliptune.data.custom.folder import Folder
from cliptune.protocols.base_to_novel import base_to_novel
from cliptune.protocols.few_shot import few_shot
from tiny_tasks import write_images


@pytest.fixture
def root(tmp_path):
    """Three classes in train and test folders."""
    for part, each in (("train", 3), ("test", 2)):
        write_images(tmp_path / part, each=5 if part == "train" else each)
    for i in (0, 1):  # both use the same drawings
        for name in ("cat", "horse", "pig"):
            (tmp_path / "train" / name / f"{i}.png").unlink()
    return tmp_path


def check(root, shots=0):
    return duplicates.warn_of_duplicates(next(iter(few_shot(Folder(root), shots=shots, seeds=(1,)))), f"folder:{root}")


def test_different_files_are_no_duplicates(root):
    assert check(root) == {}


@pytest.mark.parametrize("large", [False, True])
def test_one_image_under_two_classes(root, large, monkeypatch):
    monkeypatch.setattr(image_files, "TAIL_BYTES", 100 if large else 1 << 16)
    one, other = root / "train" / "cat" / "2.png", root / "train" / "pig" / "x.png"
    shutil.copy(one, other)
    message = f"^1 image is in folder:{root} under several classes, byte for byte: {one} .cat. and {other} .pig.; keep"
    with pytest.warns(UserWarning, match=message):
        assert check(root) == {"several_classes": 1}


def test_images_in_both_training_and_test(root):
    for i in (2, 3):
        shutil.copy(root / "train" / "cat" / f"{i}.png", root / "test" / "cat" / f"again{i}.png")
    with pytest.warns(
        UserWarning, match="^2 test images of .* are also trained on, .*; they make the accuracy too high$"
    ):
        assert check(root) == {"trained_and_tested": 2}


def test_files_of_equal_size_and_end_are_compared_completely(root, monkeypatch):
    monkeypatch.setattr(image_files, "TAIL_BYTES", 8)
    one = (root / "train" / "cat" / "2.png").read_bytes()
    (root / "train" / "pig" / "x.png").write_bytes(one[:50] + bytes([one[50] ^ 1]) + one[51:])
    assert check(root) == {}


def test_duplicates_within_one_class_of_training_are_ignored(root):
    shutil.copy(root / "train" / "cat" / "2.png", root / "train" / "cat" / "x.png")
    assert check(root) == {}


def test_images_that_are_not_drawn_do_not_count(root):
    drawn = {e.key for e in Folder(root).draw(1, 1)[0]}
    spare = next(e for e in Folder(root).examples("train") if e.key not in drawn)
    shutil.copy(spare.path, root / "test" / spare.path.parent.name / "x.png")
    assert check(root, shots=1) == {}


def test_no_more_than_three_are_named(root):
    for i in range(2, 5):
        for other in ("horse", "pig"):
            shutil.copy(root / "train" / "cat" / f"{i}.png", root / "train" / other / f"{i}.png")
    shutil.copy(root / "test" / "cat" / "0.png", root / "test" / "pig" / "x.png")
    with pytest.warns(UserWarning, match="^4 images are .* and 1 more; .*; and 1 more; keep each in one class$"):
        check(root)


def test_classes_are_compared_by_their_names(tmp_path):
    """Each half of the classes counts its labels from 0."""
    for part, first in (("train", 0), ("test", 4)):
        write_images(tmp_path / part, classes=("cat", "horse", "mouse", "pig"), each=8)
        for path in (tmp_path / part).rglob("*.png"):
            if not first <= int(path.stem) < first + 4:
                path.unlink()
    task = next(iter(base_to_novel(Folder(tmp_path), shots=0, seeds=(1,))))
    assert duplicates.warn_of_duplicates(task, "x") == {}
    shutil.copy(tmp_path / "test" / "cat" / "4.png", tmp_path / "test" / "mouse" / "x.png")
    with pytest.warns(UserWarning, match="^1 image is in x under several classes"):
        duplicates.warn_of_duplicates(next(iter(base_to_novel(Folder(tmp_path), shots=0, seeds=(1,)))), "x")


def test_a_run_warns_and_records_the_number(root):
    shutil.copy(root / "train" / "cat" / "2.png", root / "test" / "pig" / "x.png")
    with pytest.warns(UserWarning, match="under several classes"), pytest.warns(UserWarning, match="also trained on"):
        run = ct.train("zeroshot", data=f"folder:{root}", shots=0)
    assert run.result.provenance["duplicates"] == {"several_classes": 1, "trained_and_tested": 1}
