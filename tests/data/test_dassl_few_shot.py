"""Few-shot lists pickled by Dassl: used unchanged, and no code in them is executed."""

import os
import pickle
import random
import re

import pytest

import damaged_files
from cliptune.data import dassl_few_shot, splits
from cliptune.errors import UserError
from cliptune.types import Example
from mini_public_datasets import write_pickled_draw

TRAIN = [Example(f"{c}/image_{i}.jpg", label) for label, c in enumerate("ab") for i in range(6)]
VAL = [Example(f"{c}/image_{i}.jpg", label) for label, c in enumerate("ab") for i in range(6, 9)]
TEST = [Example(f"{c}/image_{i}.jpg", label) for label, c in enumerate("ab") for i in range(9, 12)]
SHOTS = splits.draw_few_shot(TRAIN, VAL, 2, 7)


@pytest.mark.parametrize("module", ["dassl.data.datasets.base_dataset", "dassl.data.datasets"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_draw_is_used_unchanged(tmp_path, protocol, module):
    chosen = SHOTS[0][::-1]  # not in the order of our own draw
    write_pickled_draw(
        tmp_path / "split_fewshot" / "shot_2-seed_1.pkl", protocol=protocol, module=module, train=chosen, val=SHOTS[1]
    )
    for where in (tmp_path, tmp_path / "split_fewshot", tmp_path / "split_fewshot" / "shot_2-seed_1.pkl"):
        assert dassl_few_shot.draw_from_file(where, TRAIN, VAL, 2, 1) == (chosen, SHOTS[1])


def test_paths_of_another_machine_find_their_images(tmp_path):
    windows = write_pickled_draw(tmp_path / "w.pkl", images="D:\\data\\", train=SHOTS[0], val=[])
    assert dassl_few_shot.draw_from_file(windows, TRAIN, VAL, 2, 1)[0] == SHOTS[0]
    bare = write_pickled_draw(tmp_path / "b.pkl", images="", train=SHOTS[0], val=[])
    assert dassl_few_shot.draw_from_file(bare, TRAIN, VAL, 2, 1)[0] == SHOTS[0]


def test_paths_match_by_their_longest_suffix():
    examples = [Example("b/1.jpg", 0), Example("a/b/1.jpg", 1), Example("1.jpg", 2)]
    paths = [("/x/a/b/1.jpg", 1), ("/a/x/b/1.jpg", 0), ("/a/b/x/1.jpg", 2)]
    assert [e.key for e in dassl_few_shot.match_examples(paths, examples, "training")] == [
        "a/b/1.jpg",
        "b/1.jpg",
        "1.jpg",
    ]


def test_missing_validation_shots_are_drawn(tmp_path):
    file = write_pickled_draw(tmp_path / "shot_2-seed_7.pkl", train=SHOTS[0])
    assert dassl_few_shot.draw_from_file(file, TRAIN, VAL, 2, 7) == SHOTS


def test_draws_follow_the_order_of_the_pickled_list(tmp_path):
    order = random.Random(3).sample(TRAIN, len(TRAIN))
    file = write_pickled_draw(tmp_path / "preprocessed.pkl", train=order, test=TEST)
    assert (
        dassl_few_shot.draw_from_file(file.parent, TRAIN, VAL, 2, 1)
        == splits.draw_few_shot(order, VAL, 2, 1)
        != splits.draw_few_shot(TRAIN, VAL, 2, 1)
    )


class Datum:
    def __init__(self, path, label):
        self._impath, self._label = path, label


def doubled(times):
    nested = ()
    for _ in range(times):
        nested = nested, nested  # as text, 2**times pairs
    return nested


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04]r\xff\xff\xff\x7f.",  # memory for two billion objects
        b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"x.",  # a text of exabytes
        b"(" * 100_000 + b"t" * 100_000 + b".",
        pickle.dumps({"train": [(doubled(200), 1)]}),
        pickle.dumps({"train": 3}),
        pickle.dumps([1]),
        b"",
    ],
)
def test_an_unrelated_pickle_uses_little_memory_and_time(tmp_path, content):
    (tmp_path / "d.pkl").write_bytes(content)
    with pytest.raises(UserError, match="d.pkl is not a pickled draw"), damaged_files.time_limit(20):
        dassl_few_shot.load_lists(tmp_path / "d.pkl")


@pytest.mark.parametrize("entry", [Datum(doubled(200), 1), Datum("a.jpg", "1"), Datum("a.jpg", True), Datum(None, 1)])
def test_entries_are_paths_with_labels(tmp_path, entry, monkeypatch):
    monkeypatch.setattr(dassl_few_shot, "DATUM_MODULES", re.compile(re.escape(__name__)))
    (tmp_path / "d.pkl").write_bytes(pickle.dumps({"train": [entry]}))
    with (
        pytest.raises(UserError, match="its lists contain something other than paths with labels"),
        damaged_files.time_limit(20),
    ):
        dassl_few_shot.load_lists(tmp_path / "d.pkl")


def test_a_class_with_too_few_images_uses_all(tmp_path):
    file = write_pickled_draw(tmp_path / "all.pkl", train=TRAIN, val=VAL)
    assert dassl_few_shot.draw_from_file(file, TRAIN, VAL, 16, 1) == (TRAIN, VAL)


def test_a_draw_of_another_dataset_is_refused(tmp_path):
    leak = write_pickled_draw(tmp_path / "leak.pkl", train=TEST[:2] + TEST[3:5], val=[])
    with pytest.raises(UserError, match=r"a/image_9\.jpg for training, which is not a training image .*another split"):
        dassl_few_shot.draw_from_file(leak, TRAIN, VAL, 2, 1)
    swapped = write_pickled_draw(tmp_path / "swapped.pkl", train=[Example("a/image_0.jpg", 1)], val=[])
    with pytest.raises(UserError, match=r"gives .*a/image_0\.jpg label 1, but in this dataset it is 0"):
        dassl_few_shot.draw_from_file(swapped, TRAIN, VAL, 2, 1)
    few = write_pickled_draw(tmp_path / "few.pkl", train=SHOTS[0], val=[])
    with pytest.raises(UserError, match="has 2 images of class 0, so it is not a draw of 4 shots"):
        dassl_few_shot.draw_from_file(few, TRAIN, VAL, 4, 1)
    twice = write_pickled_draw(tmp_path / "twice.pkl", train=[TRAIN[0], TRAIN[0], TRAIN[6], TRAIN[7]], val=[])
    with pytest.raises(UserError, match="has an image twice"):
        dassl_few_shot.draw_from_file(twice, TRAIN, VAL, 2, 1)
    with pytest.raises(UserError, match="has no list of training images"):
        dassl_few_shot.draw_from_file(write_pickled_draw(tmp_path / "val.pkl", val=[]), TRAIN, VAL, 2, 1)
    one = write_pickled_draw(tmp_path / "shot_2-seed_1.pkl", train=SHOTS[0], val=[])
    with pytest.raises(UserError, match="is not the draw of shots=2, seed=3"):
        dassl_few_shot.draw_from_file(one, TRAIN, VAL, 2, 3)
    with pytest.raises(UserError, match=r"no shot_16-seed_1\.pkl in "):
        dassl_few_shot.draw_from_file(tmp_path, TRAIN, VAL, 16, 1)


class Malicious:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_code_in_a_pickle_never_runs(tmp_path):
    trace = tmp_path / "ran"
    for number, content in enumerate([Malicious(f"touch {trace}"), {"train": [Malicious(f"touch {trace}")]}]):
        file = tmp_path / f"bad{number}.pkl"
        file.write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match=r"is refused: it asks for (posix|nt)\.system, .*none of its code was run"):
            dassl_few_shot.draw_from_file(file, TRAIN, VAL, 2, 1)
    assert not trace.exists()
    pickle.loads((tmp_path / "bad0.pkl").read_bytes())
    assert trace.exists(), "the file would have done harm"


@pytest.mark.parametrize(
    "module, name",
    [("builtins", "eval"), ("dassl.data.datasets.base_dataset", "system"), ("dassl.data.datasets_evil", "Datum")],
)
def test_every_other_global_is_refused(tmp_path, module, name):
    file = tmp_path / "file.pkl"
    file.write_bytes(f"c{module}\n{name}\n(S'1'\ntR.".encode())
    with pytest.raises(UserError, match=f"it asks for {module}.{name}"):
        dassl_few_shot.load_lists(file)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x05", b"not a pickle", pickle.dumps([1]), pickle.dumps({"train": [1]})]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "file.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"file\.pkl is not a pickled draw: "):
        dassl_few_shot.load_lists(tmp_path / "file.pkl")


def test_one_file_cannot_prepare_the_class_for_the_next(tmp_path):
    # BUILD with slots sets attributes on the class itself.
    (tmp_path / "first.pkl").write_bytes(
        b"\x80\x02}X\x05\x00\x00\x00train]cdassl.data.datasets\nDatum\nN}X\x07\x00\x00\x00_impathX\x01\x00\x00\x00xs\x86bas."
    )
    with pytest.raises(UserError):
        dassl_few_shot.load_lists(tmp_path / "first.pkl")
    with pytest.raises(UserError, match="no attribute '_impath'"):
        second = tmp_path / "second.pkl"
        second.write_bytes(b"\x80\x02}X\x05\x00\x00\x00train]cdassl.data.datasets\nDatum\n)\x81as.")
        dassl_few_shot.load_lists(second)
