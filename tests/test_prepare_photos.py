"""tools/photos/prepare.py: names, splits, and training images that repeat test images."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[1] / "tools" / "photos" / "prepare.py"


@pytest.fixture(scope="module")
def prepare():
    spec = importlib.util.spec_from_file_location("prepare_photos", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("ice_hockey", "ice hockey"),
        ("Red-Beet", "red beet"),
        ("001.Black_footed", "black footed"),
        ("seaHorse", "sea horse"),
    ],
)
def test_folder_names_become_words(prepare, label, name):
    assert prepare.clean_name(label) == name


def test_published_split_and_renamed_classes(prepare, tmp_path):
    for name in ("sofa/1.jpg", "sofa/2.jpg", "water_lilly/1.jpg", "background/1.jpg"):
        (tmp_path / "a+b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a+b" / name).touch()
    published = {
        "sofa/1.jpg": ("train", "sofa"),
        "sofa/2.jpg": ("eval", "sofa"),
        "water_lilly/1.jpg": ("pool", "water_lilly"),
    }
    source = {
        "source": "s",
        "repository": "a/b",
        "names": {"water_lilly": "water lily"},
        "parts": [{"split": "published", "size": 8, "files": r"(?P<name>.+\.jpg)"}],
    }
    photos = list(prepare.find_photos(tmp_path, source, published, {}, {}))
    assert [(p.split, p.name) for p in photos] == [("train", "sofa"), ("eval", "sofa"), ("pool", "water lily")]


def test_training_images_that_repeat_a_test_image_are_dropped(prepare, tmp_path):
    rng = np.random.default_rng(0)
    waves = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((96, 96))) for _ in range(3)
    ]
    photos = []
    for row, (split, image, side) in enumerate(
        [("train", waves[0], 96), ("train", waves[1], 96), ("eval", waves[0], 32), ("eval", waves[2], 32)]
    ):
        path = tmp_path / f"{row}.jpg"
        Image.fromarray(image).resize((side, side)).save(path, quality=90)
        photos.append(prepare.Photo(path, "s", split, "label", "name", side, row=row % 2))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    photos.append(prepare.Photo(tmp_path / "broken.jpg", "s", "train", "label", "name", 96, row=2))
    arrays = {96: np.zeros((3, 96, 96, 3), np.uint8), 32: np.zeros((2, 32, 32, 3), np.uint8)}
    for photo in photos:
        prepare.decode(photo, arrays[photo.size])
    prepare.drop_repeats(photos, arrays)
    assert [bool(p.dropped) for p in photos] == [True, False, False, False, True]
    assert "2.jpg" in photos[0].dropped and "unreadable" in photos[4].dropped


def test_a_squashed_image_repeats_a_cropped_one(prepare, tmp_path):
    rng = np.random.default_rng(1)
    wide = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize((400, 300))
    wide.resize((84, 84)).save(tmp_path / "squashed.png")
    wide.save(tmp_path / "cropped.png")
    photos = [
        prepare.Photo(tmp_path / "squashed.png", "a", "train", "n1", "Boat", 84, row=0),
        prepare.Photo(tmp_path / "cropped.png", "b", "eval", "boat", "boat", 64, row=0),
    ]
    arrays = {84: np.zeros((1, 84, 84, 3), np.uint8), 64: np.zeros((1, 64, 64, 3), np.uint8)}
    for photo in photos:
        prepare.decode(photo, arrays[photo.size])
    prepare.drop_repeats_of_class(photos, arrays)
    assert photos[0].dropped == "repeats b eval: boat cropped.png" and not photos[1].dropped
