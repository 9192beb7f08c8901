"""Pascal VOC: several classes in an image, masks whose values are labels."""

import random
import shutil
import warnings

import numpy as np
import pytest

import cliptune as ct
import fake_voc
from cliptune import protocols
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.public.common.spec import locate
from cliptune.data.public.pascal_voc import PascalVoc
from cliptune.errors import UserError
from cliptune.masks.from_dataset import DataMasks

pytestmark = pytest.mark.filterwarnings("ignore:Pascal VOC in .* has .* training images:UserWarning")
BRIEF = {"shots": 1, "epochs": 2, "preset": "none"}
FEW = pytest.mark.filterwarnings("ignore:class .* has .* images, fewer than shots", "ignore:backbone 'tiny' was not")
LABELS = pytest.mark.filterwarnings("ignore:mask .* read as labels")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return fake_voc.write_voc(tmp_path_factory.mktemp("voc"))


@pytest.fixture
def voc(root):
    return PascalVoc(root)


def names(dataset, example):
    return [dataset.classnames[label] for label in example.labels]


def test_class_names_and_labels(voc):
    assert len(voc.classnames) == 20 and voc.classnames[10] == "table" and voc.classnames[15] == "plant"
    train, test = voc.examples("train"), voc.examples("test")
    assert [e.key for e in train] == [f"{k}.jpg" for k in fake_voc.TRAIN | fake_voc.MORE] and voc.examples("val") == []
    assert [e.key for e in test] == [f"{k}.jpg" for k in fake_voc.VAL]
    assert names(voc, train[2]) == ["bus", "car"], "each class once, in label order, difficult objects too"
    assert names(voc, train[4]) == ["table", "person", "plant"]
    assert all(e.label == e.labels[0] for e in train + test)


def foreground(dataset, example):
    return DataMasks().mask(example, dataset.read(example))[0].numpy()


@LABELS
def test_void_pixels_are_not_foreground(voc):
    raw = fake_voc.labels(0)
    found = foreground(voc, voc.examples("train")[0])
    assert np.array_equal(found == 255, (raw > 0) & (raw < 255)) and set(np.unique(found)) == {0, 255}
    assert all(e.mask is None for e in voc.examples("test")), "tests look at whole images"
    assert all(e.mask.parent.name == "SegmentationClassAug" for e in voc.examples("train"))


def test_official_masks_are_palette_images(tmp_path):
    with pytest.warns(UserWarning, match=r"has 8 training images, not the 10582 .*trainaug.txt.*ClassAug"):
        short = PascalVoc(fake_voc.write_voc(tmp_path, long=False))
    assert [e.key for e in short.examples("train")] == [f"{k}.jpg" for k in fake_voc.TRAIN]
    example = short.examples("train")[1]
    assert example.mask.parent.name == "SegmentationClass"
    raw = fake_voc.labels(1)
    assert np.array_equal(foreground(short, example) == 255, (raw > 0) & (raw < 255))


def test_dapts_mask_folder_takes_precedence(tmp_path):
    every = PascalVoc(fake_voc.write_voc(tmp_path, masks="SegmentationClass_All"))
    assert {e.mask.parent.name for e in every.examples("train")} == {"SegmentationClass_All"}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_draw_gives_each_image_to_one_of_its_classes(voc, seed):
    train, val = voc.draw(1, seed)
    rng, groups = random.Random(seed), {}
    for e in voc.examples("train"):  # the two steps of the released code, with a separate generator
        groups.setdefault(rng.choices(list(e.labels))[0], []).append(e.key)
    expected = [(label, key) for label, keys in groups.items() for key in rng.sample(keys, 1)]
    assert [(e.label, e.key) for e in train] == expected
    assert all(e.label in e.labels for e in train + val)
    assert val and not {e.key for e in train} & {e.key for e in val}
    assert voc.draw(1, seed) == (train, val) != voc.draw(1, seed + 10)


def test_all_shots_use_all_images(voc):
    train, val = voc.draw(0, 1)
    assert [e.key for e in train] == [e.key for e in voc.examples("train")] and val == []


@FEW
def test_halves_keep_only_labels_of_their_classes(voc):
    (task,) = protocols.get("base_to_novel")(voc, shots=9, seeds=(1,))
    shown = sorted({label for e in voc.examples("train") for label in e.labels})
    base, novel = ([voc.classnames[i] for i in half] for half in (shown[:4], shown[4:]))
    assert (list(task.classnames), list(task.tests["novel"].classnames)) == (base, novel)
    drawn = {e.key: voc.classnames[e.label] for e in voc.draw(9, 1)[0]}
    assert {e.key: base[e.label] for e in task.train} == {k: name for k, name in drawn.items() if name in base}
    for e in task.train:
        assert [base[i] for i in e.labels] == [
            n for n in (voc.classnames[i] for i in by_key(voc, e).labels) if n in base
        ]
    both = {name: {e.key for e in test.examples} for name, test in task.tests.items()}
    assert "2007_000102.jpg" in both["base"] & both["novel"], "car and person"
    (person,) = [e for e in task.tests["novel"].examples if e.key == "2007_000102.jpg"]
    assert [novel[i] for i in person.labels] == ["person"] and novel[person.label] == "person"


def by_key(voc, example):
    return next(e for e in voc.examples("train") if e.key == example.key)


@pytest.mark.parametrize("home", fake_voc.HOMES)
def test_every_layout_is_found_and_read(tmp_path, home, voc):
    found = PascalVoc(fake_voc.write_voc(tmp_path, home))
    assert found.location == locate(PascalVoc.spec, tmp_path) and found.location.home == tmp_path / home
    for part in ("train", "test"):
        examples = found.examples(part)
        assert [(e.key, e.labels) for e in examples] == [(e.key, e.labels) for e in voc.examples(part)]
        assert all(e.path.is_file() and e.path.is_relative_to(tmp_path / home) for e in examples)
    assert all(e.mask.is_file() and e.mask.is_relative_to(tmp_path / home) for e in found.examples("train"))


@FEW
@LABELS
def test_trains_and_evaluates(root):
    tuned = ct.train("maple+dapt", "pascal_voc", root=str(root), depth=2, switch=0.5, **BRIEF)
    assert set(tuned.result.metrics) == {"test", "test/map"}
    assert all(0 <= value <= 100 for value in tuned.result.metrics.values())
    assert tuned.evaluate("pascal_voc", root=str(root)) == tuned.result.metrics


@FEW
def test_from_the_command_line(root, tmp_path, capsys):
    from cliptune.cli import main

    main(["train", "coop", "--data", "pascal_voc", "--root", str(root), "--shots", "1", "--epochs", "1"]
         + ["--preset", "none", "--out", str(tmp_path / "run")])  # fmt: skip
    output = capsys.readouterr().out
    main(["evaluate", str(tmp_path / "run")])
    assert capsys.readouterr().out == output and "test/map" in output


def test_faults_are_reported(tmp_path):
    root = fake_voc.write_voc(tmp_path)
    home = root / fake_voc.HOMES[0]
    with pytest.raises(UserError, match="pascal_voc takes nothing after the colon"):
        sources.get("pascal_voc:2007", DataConfig(root=str(root)))
    with pytest.raises(UserError, match="does not support --draws"):
        sources.get("pascal_voc", DataConfig(root=str(root), draws="x"))

    def refused(match):
        with pytest.raises(UserError, match=match):
            PascalVoc(root)

    note = home / "Annotations" / "2007_000003.xml"
    content = note.read_text()
    note.write_text(content[:40])
    refused(r"cannot read the annotation .*2007_000003.xml \(ParseError\); copy it again")
    note.write_text(fake_voc.annotation(["zeppelin"]))
    refused("names 'zeppelin', not a class of Pascal VOC 2012")
    note.write_text(fake_voc.annotation([]))
    refused("names no object")
    note.unlink()
    refused("1 of the 10 files that trainaug.txt lists are not under .*Annotations, such as 2007_000003.xml")
    note.write_text(content)
    sets = home / "ImageSets" / "Segmentation"
    (sets / "trainaug.txt").write_text("2007_000001\n2007_000101\n")
    refused("lists 1 images of the test set, such as 2007_000101.jpg")
    (sets / "val.txt").unlink()
    refused("ImageSets/Segmentation/val.txt")
    shutil.rmtree(home / "JPEGImages")
    refused("no VOC12 under")


def test_the_specification_contains_the_names(voc):
    from cliptune.data.public.common.spec import short_sha256

    assert short_sha256("\n".join(voc.classnames).encode()) == voc.spec.classnames_sha256
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [voc.spec.split_sizes[2], voc.spec.num_classes] == [1449, 20]


def test_a_check_counts_the_listed_images(root):
    from cliptune.data.public.doctor.check import check_datasets

    (report,) = check_datasets(root, ["pascal_voc"]).reports
    assert report.status == "ready" and (report.pictures.found, report.pictures.expected) == (15, 15)
    assert "has 10 training images, not the 10582" in report.notes[0]
