"""Duplicates among image files: copies of other size, format and brightness; what differs is not paired."""

import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance

import cliptune as ct
from cliptune.data.custom.folder import Folder
from cliptune.data.similar_images import find_duplicates
from tiny_tasks import drawings, write_images


@pytest.fixture
def splits(tmp_path):
    """Class folders of drawings in train and test, of which no two are the same."""
    for part, first in (("train", 0), ("test", 4)):
        write_images(tmp_path / "all", each=8)
        for name in ("cat", "horse", "pig"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for i in range(first, first + 4):
                shutil.copy(tmp_path / "all" / name / f"{i}.png", tmp_path / "data" / part / name)
    return tmp_path / "data"


def test_different_images_are_no_duplicates(splits):
    assert find_duplicates(Folder(splits)) == []


def test_copies_are_found_and_the_worst_come_first(splits):
    image = Image.open(splits / "train/cat/0.png").convert("RGB")
    image.resize((image.width // 2, image.height // 2)).save(splits / "train/cat/small.jpg", quality=60)
    shutil.copy(splits / "train/horse/1.png", splits / "test/horse/copy.png")
    ImageEnhance.Brightness(Image.open(splits / "train/pig/2.png").convert("RGB")).enhance(1.1).save(
        splits / "train/cat/bright.png"
    )
    seen = []
    groups = find_duplicates(Folder(splits), lambda done, total: seen.append((done, total)))
    assert [(g.kind, g.several_classes, g.several_splits) for g in groups] == [
        ("near", True, False),
        ("exact", False, True),
        ("near", False, False),
    ]
    names = [sorted(image.path.removeprefix(f"{splits}/") for image in g.images) for g in groups]
    assert names[0] == ["train/cat/bright.png", "train/pig/2.png"]
    assert names[1] == ["test/horse/copy.png", "train/horse/1.png"]
    assert names[2] == ["train/cat/0.png", "train/cat/small.jpg"]
    assert seen[-1] == (27, 27)


def test_images_that_are_no_files_and_unreadable_ones(splits):
    (splits / "train/cat/broken.png").write_bytes(b"no image")
    assert find_duplicates(Folder(splits)) == []
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 255, (12, 12, 3), dtype=np.uint8) for _ in range(6)]
    data = ct.from_torch([(array, i % 2) for i, array in enumerate([*arrays, *arrays[:2]])], ["a", "b"])
    assert [g.kind for g in find_duplicates(data)] == ["exact", "exact"]


def test_no_images_at_all(monkeypatch):
    data = drawings()
    monkeypatch.setattr(type(data), "examples", lambda self, split: [])
    assert find_duplicates(data) == []
