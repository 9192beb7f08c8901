"""Published few-shot lists of Food101 and SUN397, without their split files: every list selects the image positions
that the draw rule gives, whatever the images are."""

import json
import random
from pathlib import Path

import pytest

from cliptune.data import splits
from cliptune.types import Example

DRAWS = Path(__file__).parents[3] / "shared" / "data" / "real" / "draws"
#: Training and validation images per class in the published splits.
SIZES = {"food101": (500, 200), "sun397": (40, 10)}

pytestmark = pytest.mark.skipif(
    not DRAWS.is_dir(), reason="shared/data/real/draws, published few-shot lists, is not here"
)


@pytest.fixture(params=SIZES)
def published(request):
    """The name of the dataset, and the content of its lists."""
    return request.param, json.loads((DRAWS / f"{request.param}.json").read_text(encoding="utf-8"))


def positions(name, classes, shots, seed):
    """Draws of the rule from numbered images: (class, position) of each training and validation shot, in order."""
    parts = [[Example(f"{label}/{i}", label) for label in range(classes) for i in range(size)] for size in SIZES[name]]
    return splits.draw_few_shot(*parts, shots, seed)


def test_one_position_is_one_image_in_every_list(published):
    name, lists = published
    classes = len(lists["classnames"])
    image_of, place_of, seen = {}, {}, 0
    for key, published_parts in lists.items():
        if key == "classnames":
            continue
        shots, seed = (int(word.rpartition("_")[2]) for word in key.split("-"))
        for part, drawn in zip(("train", "val"), positions(name, classes, shots, seed), strict=True):
            assert len(drawn) == len(published_parts[part])
            for example, (path, label) in zip(drawn, published_parts[part], strict=True):
                assert label == example.label
                place = part, example.key
                assert image_of.setdefault(place, path) == path, f"{key} has another image at {place}"
                assert place_of.setdefault((part, path), place) == place, f"{path} is at two places"
                seen += 1
    assert seen - len(image_of) > 200, "lists that shared no position would confirm nothing"


def test_another_rule_does_not_fit(published):
    """The assumption of the test above: a wrong seed puts other images at the same positions."""
    name, lists = published
    classes = len(lists["classnames"])
    right, wrong = (positions(name, classes, 16, seed)[0] for seed in (1, random.Random(0).randrange(10, 99)))
    agree = sum(one.key == other.key for one, other in zip(right, wrong, strict=True))
    assert agree < len(right) / 4
