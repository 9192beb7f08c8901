"""Models that depend on one region only, so that their reliance is known."""

import math

import pytest
import torch

from cliptune.analysis.reliance import Reliance, compute_reliance, draw_donors, saliency_on_foreground
from cliptune.types import DecodedImage

SIDE, N = 16, 24
#: Class -> colour of its object, and of its background.
OBJECTS = ((250, 0, 0), (0, 250, 0), (0, 0, 250))
GROUNDS = ((200, 200, 0), (0, 200, 200), (200, 0, 200))


def colour(values):
    return torch.tensor(values, dtype=torch.uint8).view(3, 1, 1)


@pytest.fixture(scope="module")
def segmented_images():
    made = []
    for i in range(N):
        image = colour(GROUNDS[i % 3]).expand(3, SIDE, SIDE).clone()
        mask = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
        image[:, 6:10, 6:10] = colour(OBJECTS[i % 3])
        mask[:, 6:10, 6:10] = 255
        made.append(DecodedImage(image, mask))
    return made


@pytest.fixture(scope="module")
def classes():
    return [frozenset({i % 3}) for i in range(N)]


def looking_at(row, column, colours):
    """A model that names the class whose colour is nearest to one pixel's."""

    def logits(images):
        seen = torch.stack([image[:, row, column] for image in images]).float()
        return -torch.cdist(seen, torch.tensor(colours).float())

    return logits


def map_of(row, column):
    def saliency(images, labels):
        made = torch.zeros(len(images), SIDE, SIDE)
        made[:, row, column] = 2.0
        return list(made)

    return saliency


def test_a_model_that_uses_backgrounds(segmented_images, classes):
    found = compute_reliance(segmented_images, classes, looking_at(0, 0, GROUNDS), map_of(0, 0))
    assert found.pictures == N
    assert found.accuracy["original"] == found.accuracy["blurred"] == found.accuracy["background"] == 100
    assert found.accuracy["swapped"] == 0 and found.followed == 100
    assert found.accuracy["grey"] < 50 and found.accuracy["mean"] < 50
    assert found.lost["swapped"] == N and found.gained["swapped"] == 0
    assert found.drop("swapped") == (100, 0) and found.drop("blurred") == (0, 0)
    assert found.energy == 0 and found.pointing == 0
    assert found.area == pytest.approx(100 * 16 / SIDE**2)


def test_a_model_that_uses_objects(segmented_images, classes):
    found = compute_reliance(segmented_images, classes, looking_at(8, 8, OBJECTS), map_of(8, 8), batch_size=7)
    assert all(found.accuracy[name] == 100 for name in ("original", "mean", "grey", "blurred", "swapped"))
    assert found.accuracy["background"] < 100, "without the object it has nothing to go by"
    assert found.followed == 0 and found.drop("swapped") == (0, 0)
    assert found.energy == 100 and found.pointing == 100


def test_the_class_of_the_saliency_map(segmented_images, classes):
    asked = []

    def saliency(images, labels):
        asked.append(list(labels))
        return [torch.zeros(SIDE, SIDE) for _ in images]

    wrong = looking_at(0, 0, GROUNDS[1:] + GROUNDS[:1])
    found = compute_reliance(segmented_images, classes, wrong, saliency, batch_size=N)
    assert found.energy is None and found.pointing is None and found.blank == N
    compute_reliance(segmented_images, classes, wrong, saliency, batch_size=N, true=True)
    assert asked == [[(i - 1) % 3 for i in range(N)], [i % 3 for i in range(N)]]


def test_saliency_is_optional_and_images_are_read_lazily(segmented_images, classes):
    done = []
    found = compute_reliance(
        segmented_images.__getitem__, classes, looking_at(0, 0, GROUNDS), batch_size=10, tick=done.append
    )
    assert found.energy is None and found.blank == 0 and done == [10, 10, 4]


def test_donors_have_other_classes_and_depend_on_the_seed_only():
    classes = [frozenset({0})] * 50 + [frozenset({1}), frozenset({0, 1})]
    with pytest.raises(ValueError, match="all images show one class"):
        draw_donors(classes, 1)
    classes = classes[:-1]
    one = draw_donors(classes, 1)
    assert one[:50] == [50] * 50 and one[50] < 50, "the only other one is found, too"
    mixed = [frozenset({i % 5}) for i in range(200)]
    first = draw_donors(mixed, 1)
    assert first == draw_donors(mixed, 1) != draw_donors(mixed, 2)
    assert all(i % 5 != j % 5 for i, j in enumerate(first))
    assert {first[i] % 5 for i in range(0, 200, 5)} == {1, 2, 3, 4}


def test_share_of_saliency_by_hand():
    mask = torch.tensor([[[255, 255], [0, 127]]], dtype=torch.uint8)
    share, hit = saliency_on_foreground(torch.tensor([[1.0, 0.0], [2.0, 1.0]]), mask)
    assert share == pytest.approx((1 + 127 / 255) / 4) and hit is False
    assert saliency_on_foreground(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), mask) == (0.5, True), "a tie counts"
    assert saliency_on_foreground(torch.tensor([[0.0, 0.0], [0.0, 1.0]]), mask)[1] is False, "less than half foreground"
    assert saliency_on_foreground(torch.zeros(2, 2), mask) is None


def test_standard_error_of_a_drop_is_that_of_paired_images():
    found = Reliance(100, {}, {"swapped": 30}, {"swapped": 10}, 0, 0)
    each = torch.tensor([1.0] * 30 + [-1.0] * 10 + [0.0] * 60)
    drop, error = found.drop("swapped")
    assert drop == pytest.approx(20) and error == pytest.approx(100 * each.std(correction=0).item() / math.sqrt(100))


def test_records_with_the_old_name_of_a_condition_are_read():
    values = {"pictures": 4, "followed": 0.0, "area": 5.0}
    values |= {name: {"original": 1, "scenery": 2} for name in ("accuracy", "lost", "gained")}
    found = Reliance.from_dict(values)
    assert found.accuracy == found.lost == found.gained == {"original": 1, "background": 2}
