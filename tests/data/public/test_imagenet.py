"""ImageNet and its variants: labels by WordNet id, sorted files, validation shots from the training images."""

import random
import shutil
from pathlib import Path

import pytest

import cliptune as ct
import mini_imagenet
import mini_public_datasets
import tiny_clips
from cliptune import experiment, protocols
from cliptune.data.public.common.spec import short_sha256
from cliptune.data.public.common.wnids import ASSETS, read_classnames, wnids
from cliptune.data.public.imagenet import ImageNet
from cliptune.errors import UserError
from mini_imagenet import SETS, write_wnid_folders
from mini_public_datasets import open_dataset

BRIEF = {"shots": 1, "epochs": 1, "preset": "none", "batch_size": 500, "augment": "none", "n_ctx": 2}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A CLIP that encodes a thousand images per second."""
    monkeypatch.setattr(experiment, "cached_backbone", lambda *_: tiny_clips.backbone("deep_image"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    mini_imagenet.write_imagenet(root / "imagenet" / "images")
    for folder, classes in SETS.values():
        write_wnid_folders(root / folder, classes, ("a.JPEG",))
        for name in ("b.jpg", ".hidden.jpg", "list.txt"):
            shutil.copy(root / folder / classes[2] / "a.JPEG", root / folder / classes[2] / name)
    (root / "imagenet-adversarial" / "imagenet-a" / "README.txt").write_text("ImageNet-A")
    return root


@pytest.fixture(scope="module")
def imagenet(root):
    return ImageNet(root)


def keys(examples):
    return [e.key for e in examples]


def test_names_are_those_of_published_experiments():
    names, ids = read_classnames(wnids()), wnids()
    assert len(names) == 1000 and ids == tuple(sorted(ids))
    known = {0: "tench", 21: "kite (bird of prey)", 134: "crane bird", 517: "construction crane", 638: "tights",
             657: "missile", 744: "missile", 836: "sunglasses", 837: "sunglasses", 999: "toilet paper"}  # fmt: skip
    assert {i: names[i] for i in known} == known
    assert len(set(names)) == 998, "two names are there twice"
    for subset in ("a", "r"):
        part = wnids(subset)
        assert len(part) == 200 and part == tuple(sorted(part)) and set(part) < set(ids)
        assert read_classnames(part) == tuple(dict(zip(ids, names, strict=True))[wnid] for wnid in part)


def test_specifications_contain_names_and_class_order(root):
    for name in ("imagenet", *SETS):
        dataset = open_dataset(name, root)
        assert dataset.spec.name == name == dataset.name and len(dataset.classnames) == dataset.spec.num_classes
        assert short_sha256("\n".join(dataset.classnames).encode()) == dataset.spec.classnames_sha256
        labels = [e.label for e in dataset.examples("test")]
        assert labels == sorted(labels) and set(labels) == set(range(dataset.spec.num_classes))


def test_files_are_sorted_by_name(imagenet, root):
    assert keys(imagenet.examples("train"))[:3] == [f"train/n01440764/n01440764_{i}.JPEG" for i in (1, 10, 9)]
    assert keys(imagenet.examples("test"))[:2] == [f"val/{w}/ILSVRC2012_val_{w}.JPEG" for w in wnids()[:2]]
    sketch = open_dataset("imagenet_sketch", root).examples("test")
    third = wnids()[2]
    assert keys(sketch)[1:5] == [f"{w}/a.JPEG" for w in wnids()[1:3]] + [f"{third}/b.jpg", f"{wnids()[3]}/a.JPEG"]
    assert len(sketch) == 1001, "nothing hidden, no text"
    assert "sorted by name" in " ".join(imagenet.spec.caveats) and "sorted order" in ImageNet.__doc__


def test_folder_k_of_imagenet_v2_is_class_k(root):
    test = open_dataset("imagenetv2", root).examples("test")
    assert all(e.label == int(Path(e.key).parts[0]) for e in test)
    assert [e.key for e in test if e.label == 2] == ["2/a.JPEG", "2/b.jpg"]


@pytest.mark.parametrize("name", ["imagenet_a", "imagenet_r"])
def test_imagenet_a_and_r_have_their_own_labels(root, name):
    dataset, own = open_dataset(name, root), wnids(name[-1])
    assert {(e.label, e.key.split("/")[0]) for e in dataset.examples("test")} == set(enumerate(own))
    full = read_classnames(wnids())
    assert all(dataset.classnames[label] == full[wnids().index(wnid)] for label, wnid in enumerate(own))


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_training_and_validation_shots_follow_the_published_rule(imagenet, seed):
    train, val = imagenet.draw(1, seed)
    rng, groups = random.Random(seed), {}
    for e in imagenet.examples("train"):
        groups.setdefault(e.label, []).append(e)
    expected = [e for group in groups.values() for e in rng.sample(group, 1)]
    assert train == expected
    rest = [[e for e in group if e not in expected] for group in groups.values()]
    assert val == [e for group in rest for e in rng.sample(group, 1)]
    assert all(e.key.startswith("train/") for e in train + val) and imagenet.examples("val") == []
    assert imagenet.sizes() == dict.fromkeys(range(1000), 3)
    assert len(imagenet.draw(0, seed)[0]) == 3000 and imagenet.draw(0, seed)[1] == []


def test_halves(imagenet, root):
    (task,) = protocols.get("base_to_novel")(imagenet, shots=1, seeds=(1,))
    assert len(task.train) == len(task.classnames) == 500 and len(task.tests["novel"].examples) == 500
    assert task.classnames == imagenet.classnames[:500]
    (other,) = protocols.get("base_to_novel")(open_dataset("imagenet_r", root), shots=1, seeds=(1,))
    assert not other.train and [len(t.examples) for t in other.tests.values()] == [101, 100]


@pytest.mark.slow
def test_train_on_imagenet_then_test_on_all(root):
    tuned = ct.train("coop", "imagenet", root=str(root), **BRIEF)
    assert set(tuned.result.metrics) == {"test"} and len(tuned.classnames) == 1000
    for name in SETS:
        found = tuned.evaluate(name, root=str(root))
        assert set(found) == {"test"} and 0 < found["test"] < 5, "one image under all names: one class's share"


@pytest.mark.parametrize("home", ["imagenet", "ILSVRC2012", "ILSVRC/Data/CLS-LOC"])
def test_other_layouts_of_imagenet(tmp_path, home):
    mini_imagenet.write_imagenet(tmp_path / home)
    dataset = ImageNet(tmp_path)
    assert dataset.examples("test")[5].path == tmp_path / home / dataset.examples("test")[5].key
    assert dataset.read(dataset.draw(1, 1)[0][7]).image.shape == (3, 32, 40)


@pytest.mark.parametrize("name", SETS)
def test_archives_unpacked_one_folder_deeper_or_next_to_it(tmp_path, name):
    folder, classes = SETS[name]
    top, inner = folder.split("/")
    for home in (f"{top}/{top}", *([""] if inner != "images" else [])):
        root = tmp_path / (home or "next").replace("/", "_")
        write_wnid_folders(root / home / inner, classes, ("a.jpg",))
        dataset = open_dataset(name, root)
        assert len(dataset.examples("test")) == len(classes) and dataset.examples("train") == []
    (task,) = protocols.get("few_shot")(dataset, shots=16, seeds=(1,))
    assert not task.train and len(task.tests["test"].examples) == len(classes)


def test_zero_shot_needs_no_training_images(root):
    assert set(ct.train("zeroshot", "imagenet_a", root=str(root)).result.metrics) == {"test"}


@pytest.mark.parametrize("protocol", ["few_shot", "base_to_novel"])
def test_training_on_a_test_set_is_refused(root, tmp_path, protocol):
    with pytest.raises(UserError, match=r"imagenet_a has no training images.*cliptune evaluate RUN --data imagenet_a"):
        ct.train("coop", "imagenet_a", root=str(root), protocol=protocol, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="Tip-Adapter needs training images, but there are none"):
        ct.train("tip_adapter", "imagenet_a", root=str(root))


def test_the_validation_set_alone_can_be_evaluated(tmp_path):
    mini_imagenet.write_imagenet(tmp_path / "imagenet" / "images", train=())
    dataset = ImageNet(tmp_path)
    assert len(dataset.examples("test")) == 1000 and dataset.examples("train") == [] and dataset.sizes() == {}
    with pytest.raises(UserError, match="imagenet has no training images"):
        ct.train("coop", "imagenet", root=str(tmp_path))


def test_a_file_of_names_next_to_the_images_takes_precedence(tmp_path, recwarn):
    images = tmp_path / "imagenet-rendition" / "imagenet-r"
    write_wnid_folders(images, wnids("r"), ("a.jpg",))
    lines = (ASSETS / "classnames.txt").read_text().splitlines()
    for folder in ("imagenet", "imagenet-rendition"):
        (tmp_path / folder).mkdir(exist_ok=True)
    own = tmp_path / "imagenet-rendition" / "classnames.txt"
    own.write_text("\n".join(lines))
    usual = open_dataset("imagenet_r", tmp_path).classnames
    assert not recwarn.list and usual == read_classnames(wnids("r"))
    (tmp_path / "imagenet" / "classnames.txt").write_text("n01443537 carp\n")  # further away: ignored
    own.write_text("\n".join(line.replace("goldfish", "gold carp") for line in lines))
    with pytest.warns(UserWarning, match=r"other names .* for 1 of 200 classes, such as 'gold carp' for 'goldfish'"):
        assert open_dataset("imagenet_r", tmp_path).classnames == ("gold carp", *usual[1:])
    own.write_text("\n".join(lines[2:]))
    with pytest.raises(UserError, match=r"no name for 1 of 200 classes, such as n01443537; .*n01443537 goldfish"):
        open_dataset("imagenet_r", tmp_path)
    own.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="classnames.txt: byte 0 is not UTF-8"):
        open_dataset("imagenet_r", tmp_path)


def test_missing_classes_are_counted_and_named(tmp_path):
    images = tmp_path / "imagenet" / "images"
    with pytest.raises(UserError, match=r"no ImageNet under .*imagenet/images"):
        ImageNet(tmp_path)
    mini_imagenet.write_imagenet(images)
    for wnid in wnids()[:7]:
        shutil.rmtree(images / "train" / wnid)
    (images / "val" / "n01440764" / "ILSVRC2012_val_n01440764.JPEG").unlink()
    with pytest.raises(
        UserError, match=r"1 of the 1000 class folders of ImageNet are missing or empty .*val: n01440764;"
    ):
        ImageNet(tmp_path)
    shutil.rmtree(images / "val" / "n01440764")
    (images / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    with pytest.raises(UserError, match="are not in class folders; sort them with torchvision"):
        ImageNet(tmp_path)
    write_wnid_folders(tmp_path / "spare" / "n01440764", ("x",), ("x.jpg",))
    shutil.move(tmp_path / "spare" / "n01440764" / "x", images / "val" / "n01440764")
    with pytest.raises(
        UserError, match=r"7 of the 1000 class folders .*train: n01440764, .* and 2 more; unpack all of it"
    ):
        ImageNet(tmp_path).draw(1, 1)
    with pytest.raises(UserError, match="imagenet takes nothing after the colon"):
        open_dataset("imagenet:2012", tmp_path)


def test_few_shot_lists_of_dassl_are_used(root, tmp_path):
    given = [e for e in ImageNet(root).examples("train") if e.key.endswith("_9.JPEG")]
    file, home = tmp_path / "shot_1-seed_1.pkl", "/home/x/imagenet/images/"
    mini_public_datasets.write_pickled_draw(file, images=home, module="dassl.data.datasets", train=given)
    dataset = open_dataset("imagenet", root, draws=str(tmp_path))
    train, val = dataset.draw(1, 1)
    assert keys(train) == keys(given) and len(val) == 1000
    assert not {e.key for e in train} & {e.key for e in val}
