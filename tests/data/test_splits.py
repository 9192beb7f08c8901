"""Draws and halves as published, from the published split files if available."""

import hashlib
import json
import random
import warnings
from pathlib import Path

import pytest

from cliptune.data import splits
from cliptune.errors import UserError
from cliptune.types import Example

#: Fingerprints of paths "\n".join(train of 16 shots + val of 4), seeds 1, 2, 3, by split file.
PUBLISHED = {
    "Caltech101": ("227259a57d0d", "555bd45b9b09", "43acea3b0c7f"),
    "DescribableTextures": ("8bfacb0570d1", "20a38843add4", "d4bdaaadc021"),
    "EuroSAT": ("a740c70ae557", "046e3ee0d9e0", "81d68c5b9349"),
    "OxfordFlowers": ("e15d28baef51", "f2c939ff42f7", "59966aeaffb9"),
    "OxfordPets": ("c9fb98462393", "d9526b8be5f7", "d19afbf5fdd6"),
    "StanfordCars": ("4f1bcb793502", "47aa4a42f5c1", "f1aa51d7586e"),
    "UCF101": ("7c0bca085802", "3a2c3427ef55", "ce9f7e08659c"),
}
#: Test images of base and new classes.
TESTED = {
    "Caltech101": (1549, 916),
    "DescribableTextures": (864, 828),
    "EuroSAT": (4200, 3900),
    "OxfordFlowers": (1053, 1410),
    "OxfordPets": (1881, 1788),
    "StanfordCars": (4002, 4039),
    "UCF101": (1934, 1849),
}
SPLITS = Path(__file__).parents[2].parent / "shared" / "data" / "splits"


def split_file(name: str) -> Path:
    path = SPLITS / f"split_zhou_{name}.json"
    if not path.is_file():
        pytest.skip(f"../shared/data/splits/{path.name} is not here")
    return path


def pool(*sizes: int) -> list[Example]:
    """Examples of labels 0, 1, ...: `sizes[label]` of each, keys "label.number"."""
    return [Example(f"{label}.{i}", label) for label, size in enumerate(sizes) for i in range(size)]


def keys(examples):
    return [e.key for e in examples]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_draws(name):
    for seed, expected in enumerate(PUBLISHED[name], start=1):
        train, val = splits.few_shot_paths(split_file(name), shots=16, seed=seed)
        assert hashlib.sha256("\n".join(train + val).encode()).hexdigest()[:12] == expected


@pytest.mark.parametrize("name", TESTED)
def test_published_halves(name):
    items = json.loads(split_file(name).read_text(encoding="utf-8"))
    examples = [Example(path, label) for path, label, _ in items["test"]]
    base, novel = splits.base_and_novel([label for _, label, _ in items["train"]])
    assert (len(splits.select_labels(examples, base)), len(splits.select_labels(examples, novel))) == TESTED[name]


def test_a_draw_uses_random_sample_class_by_class():
    train, val = pool(20, 30, 25), pool(6, 5, 7)
    state = random.getstate()
    drawn, validation = splits.draw_few_shot(train, val, 16, 3)
    assert random.getstate() == state, "the global generator was drawn from"
    random.seed(3)
    expected = [e for label in range(3) for e in random.sample([x for x in train if x.label == label], 16)]
    wanted_val = [e for label in range(3) for e in random.sample([x for x in val if x.label == label], 4)]
    random.setstate(state)
    assert drawn == expected and validation == wanted_val


def test_classes_are_drawn_in_order_of_appearance():
    shuffled = [Example(str(i), label) for i, label in enumerate([2, 0, 2, 1, 0, 1, 2, 0])]
    assert list(splits.group_by_label(shuffled)) == [2, 0, 1]
    assert [e.label for e in splits.sample_few_shot(shuffled, 2, random.Random(1))] == [2, 2, 0, 0, 1, 1]


@pytest.mark.parametrize("shots, expected", [(1, 1), (2, 2), (4, 4), (8, 4), (16, 4)])
def test_validation_takes_at_most_four(shots, expected):
    _, val = splits.draw_few_shot(pool(20, 20), pool(9, 9), shots, 1)
    assert [len(group) for group in splits.group_by_label(val).values()] == [expected, expected]


@pytest.mark.parametrize("shots", [0, -1])
def test_no_shots_means_all_in_order(shots):
    train, val = pool(3, 2), pool(1, 2)
    assert splits.draw_few_shot(train, val, shots, 1) == (train, val)


def test_a_small_class_gives_all_without_random_numbers():
    full = splits.sample_few_shot(pool(0, 20), 16, random.Random(1))
    mixed = splits.sample_few_shot(pool(5, 20), 16, random.Random(1))
    assert keys(mixed) == keys(pool(5)) + keys(full)


def test_small_classes_are_reported_once_with_their_number():
    names = ("cat", "dog", "fox")
    with pytest.warns(UserWarning) as error:
        splits.warn_of_small_classes(splits.count_classes(pool(5, 20, 3)), 16, names)
    (only,) = error
    assert str(only.message) == ("class 'cat' has 5 images, fewer than shots=16: all 5 are used (as for 1 more class)")
    with pytest.warns(UserWarning, match=r"^class 'fox' has 3 images, fewer than shots=4: all 3 are used$"):
        splits.warn_of_small_classes(splits.count_classes(pool(5, 20, 3)), 4, names)


@pytest.mark.parametrize("shots", [3, 1, 0, -1])
def test_enough_images_give_no_warning(shots):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits.warn_of_small_classes(splits.count_classes(pool(3, 3)), shots, ("a", "b"))


@pytest.mark.parametrize("classes, base", [(10, 5), (7, 4), (1, 1), (101, 51)])
def test_base_is_the_first_half_rounded_up(classes, base):
    labels = list(range(0, 3 * classes, 3))
    first, second = splits.base_and_novel(labels[::-1] * 2)
    assert first + second == tuple(labels) and len(first) == base


def test_only_relabels_and_keeps_the_order():
    examples = [Example("a", 5), Example("b", 2), Example("c", 9), Example("d", 5)]
    assert [(e.key, e.label) for e in splits.select_labels(examples, (5, 2))] == [("a", 0), ("b", 1), ("d", 0)]


def test_seed_0_is_a_seed():
    train, val = splits.draw_few_shot(pool(20, 30), pool(6, 5), 16, 0)
    rng = random.Random(0)
    assert train == [e for label in range(2) for e in rng.sample([x for x in pool(20, 30) if x.label == label], 16)]
    assert (
        (train, val)
        == splits.draw_few_shot(pool(20, 30), pool(6, 5), 16, 0)
        != splits.draw_few_shot(pool(20, 30), pool(6, 5), 16, 1)
    )


@pytest.mark.parametrize(
    "share, expected", [(0.05, [1, 1, 1]), (0.1, [2, 1, 1]), (0.3, [6, 3, 1]), (0.5, [10, 4, 2]), (1.0, [20, 9, 3])]
)
def test_a_fraction_is_rounded_per_class(share, expected):
    chosen = splits.sample_fraction(pool(20, 9, 3), share, random.Random(5))
    assert [len(group) for group in splits.group_by_label(chosen).values()] == expected
    assert len(set(keys(chosen))) == len(chosen) and set(keys(chosen)) <= set(keys(pool(20, 9, 3)))
    assert chosen == splits.sample_fraction(pool(20, 9, 3), share, random.Random(5))


def test_a_fraction_draws_from_its_own_generator():
    state = random.getstate()
    one, other = (splits.sample_fraction(pool(40), 0.5, random.Random(seed)) for seed in (1, 2))
    assert random.getstate() == state and one != other
    assert splits.sample_fraction(pool(3, 2), 1, random.Random(1)) == pool(3, 2), "all of them in their own order"


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_fraction_out_of_range(share):
    with pytest.raises(UserError, match=f"above 0 and at most 1, got {share}"):
        splits.sample_fraction(pool(3), share, random.Random(1))


def test_trainval_splits_each_class():
    train, val = splits.split_trainval(pool(10, 7), random.Random(1))
    assert [len(g) for g in splits.group_by_label(val).values()] == [2, 1]
    assert sorted(keys(train + val)) == sorted(keys(pool(10, 7)))
    assert splits.split_trainval(pool(10, 7), random.Random(1)) == (train, val)
    assert splits.split_trainval(pool(10, 7), random.Random(2))[1] != val


def test_trainval_of_too_small_a_class():
    with pytest.raises(UserError, match="class 1 has 2 images, too few to set 20% aside for validation"):
        splits.split_trainval(pool(10, 2), random.Random(1))


@pytest.mark.parametrize(
    "content", ["", "[]", '{"train": []}', '{"train": [["a"]], "val": []}', '{"train": 3, "val": []}']
)
def test_invalid_split_files_are_refused(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(UserError, match=r"split\.json is not a split file"):
        splits.few_shot_paths(tmp_path / "split.json", shots=1, seed=1)


def test_a_missing_split_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.json: no such file"):
        splits.few_shot_paths(tmp_path / "none.json", shots=1, seed=1)
