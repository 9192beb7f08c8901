"""Unreadable images are reported before training starts, or left out with a warning."""

import shutil
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cliptune as ct
from cliptune.backbones.load import cached_backbone
from cliptune.data import duplicates, image_io
from cliptune.data.config import DataConfig
from cliptune.data.custom.folder import Folder
from cliptune.data.image_store import ImageStore
from cliptune.data.validate import MAX_NAMED, drop_unreadable, find_unreadable
from cliptune.engine.config import TrainConfig
from cliptune.engine.fit import training_set
from cliptune.methods.coop import CoOp
from cliptune.model.tuned_model import TunedModel
from cliptune.protocols.few_shot import few_shot
from tiny_tasks import task, write_images

QUICK = {"shots": 3, "epochs": 1, "batch_size": 4, "augment": "none"}


@pytest.fixture
def root(tmp_path):
    return write_images(tmp_path / "photos", each=10)


def made(root, **reading):
    data = Folder(root)
    data.reading = DataConfig(**reading)
    return next(iter(few_shot(data, shots=3, seeds=(1,))))


def spoil(example, content=b""):
    example.path.write_bytes(content if isinstance(content, bytes) else example.path.read_bytes()[: content.stop])


def parts(made):
    return {"train": made.train, "val": made.val, "test": made.tests["test"].examples}


def test_a_readable_task_is_unchanged(root):
    for skip in (True, False):
        chosen = made(root, skip_bad=skip)
        assert drop_unreadable(chosen) == (chosen, {})
    drawn = task()
    assert drop_unreadable(drawn)[0] is drawn


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize("content, why", [(b"", "is empty"), (b"no", "is no image"), (slice(150), "is cut short")])
def test_an_unreadable_image_in_any_split_raises(root, part, content, why):
    chosen = made(root)
    spoil(parts(chosen)[part][1], content)
    with pytest.raises(ct.UserError, match=rf"^1 of \d+ images cannot be read: .*{parts(chosen)[part][1].key} {why}"):
        drop_unreadable(chosen)


def test_all_unreadable_images_are_counted_and_the_first_are_named(root):
    chosen = made(root)
    bad = [*chosen.train[:4], *parts(chosen)["test"][:4]]
    for example in bad:
        spoil(example)
    with pytest.raises(ct.UserError) as error:
        drop_unreadable(chosen)
    assert str(error.value).startswith("8 of ") and f"and {8 - MAX_NAMED} more; " in str(error.value)
    assert [str(e.path) in str(error.value) for e in bad] == [True] * MAX_NAMED + [False] * (8 - MAX_NAMED)
    assert str(error.value).endswith("remove or replace them, or leave them out with --skip-bad")


def test_missing_files_link_loops_and_folders_are_unreadable(root):
    chosen = made(root)
    gone, loop, folder = chosen.train[:3]
    for example in (gone, loop, folder):
        example.path.unlink()
    loop.path.symlink_to(loop.path.name)
    folder.path.mkdir()
    assert find_unreadable(chosen.train) == {
        gone.key: "does not exist", loop.key: "is a link that leads in circles", folder.key: "is a folder",
    }  # fmt: skip


def test_unreadable_images_are_left_out_of_every_split(root):
    chosen = made(root, skip_bad=True)
    bad = [part[0] for part in parts(chosen).values()]
    for example in bad:
        spoil(example)
    with pytest.warns(UserWarning, match="left out"):
        rest, left_out = drop_unreadable(chosen)
    assert left_out == {example.key: "is empty" for example in bad}
    for name, part in parts(rest).items():
        assert part == parts(chosen)[name][1:]


def test_damage_inside_a_training_image_is_found(root):
    chosen = made(root, skip_bad=True)
    whole = chosen.train[2].path.read_bytes()
    middle = whole.index(b"IDAT") + 40
    spoil(chosen.train[2], whole[:middle] + bytes(len(whole) - middle - 12) + whole[-12:])
    assert not find_unreadable(chosen.train), "the header and the end are intact"
    with pytest.warns(UserWarning, match="left out"):
        rest, left_out = drop_unreadable(chosen)
    assert list(left_out) == [chosen.train[2].key] and len(rest.train) == len(chosen.train) - 1


def test_no_readable_training_image_is_refused(root):
    chosen = made(root, skip_bad=True)
    for example in chosen.train:
        spoil(example)
    with pytest.raises(ct.UserError, match=r"none of the 9 training images can be read: .* and 4 more"):
        drop_unreadable(chosen)


def test_a_run_without_unreadable_images_records_them(root):
    chosen = made(root)
    for example in (chosen.train[0], parts(chosen)["test"][0]):
        spoil(example)
    with pytest.raises(ct.UserError, match="2 of .* images cannot be read"):
        ct.train("coop", data=f"folder:{root}", **QUICK)
    with pytest.warns(UserWarning, match="2 of .* images cannot be read and are left out .*is empty.: results do"):
        run = ct.train("coop", data=f"folder:{root}", skip_bad=True, **QUICK)
    about = run.result.provenance
    assert about["left_out"] == {e.key: "is empty" for e in (chosen.train[0], parts(chosen)["test"][0])}
    assert about["test_images"]["test"] == len(parts(chosen)["test"]) - 1


def test_a_run_with_all_images_gives_no_warning(photos):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "the bundled tiny backbone knows drawings only")
        run = ct.train("coop", data=f"folder:{photos}", skip_bad=True, **QUICK)
    assert "left_out" not in run.result.provenance


def test_evaluation_checks_the_images_before_it_starts(root, tmp_path):
    run = ct.train("coop", data=f"folder:{root}", **QUICK)
    other = shutil.copytree(root, tmp_path / "other")
    for example in Folder(other).examples("test")[:2]:
        spoil(example)
    with pytest.raises(ct.UserError, match="2 of .* images cannot be read"):
        run.evaluate(f"folder:{other}")
    with pytest.warns(UserWarning, match="2 of .* are left out"):
        run.evaluate(f"folder:{other}", skip_bad=True)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_error_in_a_loader_process_is_the_same_sentence(root):
    from cliptune.engine.evaluate import predict_logits
    from cliptune.experiment import cached_backbone, untrained_model
    from cliptune.presets import get

    chosen = made(root)
    tuned = untrained_model(get("coop", "none", data=f"folder:{root}"), chosen)
    assert tuned.backbone is cached_backbone("tiny", "")
    spoil(parts(chosen)["test"][1])
    with pytest.raises(ct.UserError, match=rf"^image {parts(chosen)['test'][1].path} cannot be read: it is empty; "):
        predict_logits(tuned, chosen.dataset, replace(chosen.tests["test"]), workers=1)


def test_a_jpeg_file_without_its_end_marker_is_decoded_to_decide(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (40, 30), "red").save(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 100)  # as some cameras write it
    from cliptune.types import Example

    assert find_unreadable([Example("a", 0, path)]) == {}
    path.write_bytes(whole[:-40])
    assert find_unreadable([Example("b", 0, path)]) == {"b": "is cut short"}


def test_assumed_ranges_are_counted_over_all_splits(root):
    chosen = made(root)
    deep = [chosen.train[0], *parts(chosen)["test"][:2]]
    for example, bits in zip(deep, (12, 10, 12), strict=True):
        values = np.linspace(0, 2**bits - 1, 64 * 64).astype(np.uint16).reshape(64, 64)
        Image.fromarray(values).save(example.path)
    with pytest.warns(UserWarning) as caught:
        drop_unreadable(chosen)
    (message,) = (str(warning.message) for warning in caught)
    assert message.startswith("the range of 3 of ") and "so their brightness does not compare" in message
    assert f"2 such as {deep[0].path}: 16-bit values are read as 12 bits" in message
    assert f"1 such as {deep[1].path}: 16-bit values are read as 10 bits" in message


def test_assumed_ranges_of_images_in_memory_are_reported_once_per_range():
    scans = [Image.fromarray((np.arange(64).reshape(8, 8) * (i + 60)).astype(np.uint16)) for i in range(4)]
    data = ct.from_torch([(scan, i % 2) for i, scan in enumerate(scans)], classnames=["a", "b"])
    reader = ImageStore(data)
    with pytest.warns(UserWarning, match="of 8 x 8 pixels: 16-bit values are read as 12 bits") as caught:
        for example in data.examples("train"):
            reader.image(example)
    assert len(caught) == 1


def test_a_run_opens_each_image_once_before_its_first_step(root, monkeypatch):
    opened, original = Counter(), image_io.open_regular

    def counted(path):
        opened[Path(path)] += 1
        return original(path)

    monkeypatch.setattr(image_io, "open_regular", counted)
    chosen, _ = drop_unreadable(made(root), decode_train=True)
    backbone = cached_backbone("tiny", "", "auto")
    model = TunedModel(backbone, CoOp(n_ctx=2), chosen.classnames)
    examples, _ = training_set(model, chosen, TrainConfig())
    list(examples.in_order(4, torch.device("cpu")))
    assert duplicates.warn_of_duplicates(chosen, "folder") == {}
    files = [e.path for part in parts(chosen).values() for e in part]
    assert opened == Counter(files) and set(opened.values()) == {1}


def test_damage_inside_a_test_image_is_found_with_skip_bad(root):
    chosen = made(root, skip_bad=True)
    example = parts(chosen)["test"][1]
    whole = bytearray(example.path.read_bytes())
    whole[whole.index(b"IDAT") + 20] ^= 255  # the header and the end are as they were
    example.path.write_bytes(whole)
    with pytest.warns(UserWarning, match="1 of .* cannot be read and are left out"):
        rest, bad = drop_unreadable(chosen)
    assert list(bad) == [example.key] and example not in rest.tests["test"].examples
