"""The benchmarks with split files: specifications, layouts, training."""

import hashlib
import json
import os
import random

import pytest

import cliptune as ct
import mini_public_datasets
from cliptune.data import public, sources, split_file
from cliptune.data.config import ROOT_VARIABLE
from cliptune.data.public.common.spec import locate, short_sha256
from cliptune.errors import UserError
from mini_public_datasets import miniature, open_dataset

NAMES = (
    "caltech101",
    "oxford_pets",
    "stanford_cars",
    "oxford_flowers",
    "food101",
    "fgvc_aircraft",
    "sun397",
    "dtd",
    "eurosat",
    "ucf101",
)
SPECS = {name: public.specs()[name] for name in NAMES}
LAYOUTS = [(name, number) for name in NAMES for number in range(len(SPECS[name].layouts))]
unseen = pytest.mark.filterwarnings("ignore:backbone 'tiny' was not trained on .*:UserWarning")


def published(spec):
    file = mini_public_datasets.SPLITS / spec.split_file
    if not spec.split_file or not file.is_file():
        pytest.skip(f"../shared/data/splits/{spec.split_file or 'of ' + spec.name} is not here")
    return file


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("food101", "fgvc_aircraft", "sun397")])
def test_the_published_splits(name):
    spec = SPECS[name]
    file = published(spec)
    names, parts = split_file.read_split_file(file, file.parent)
    assert short_sha256(file.read_bytes()) == spec.split_sha256
    assert short_sha256("\n".join(names).encode()) == spec.classnames_sha256
    assert len(names) == len(set(names)) == spec.num_classes
    assert tuple(len(part) for part in parts.values()) == spec.split_sizes
    assert {e.label for e in parts["train"]} == {e.label for e in parts["test"]} == set(range(spec.num_classes))


@pytest.mark.parametrize("name", NAMES)
def test_specifications_document_the_dataset(name):
    spec = SPECS[name]
    assert spec.name == name and spec.layouts[0].kind == "CoOp" and len(spec.layouts) > 1
    assert len(set(spec.layouts)) == len(spec.layouts) == len({x.marker_path for x in spec.layouts})
    assert "https://" in spec.source and spec.caveats and all(trap.endswith(".") for trap in spec.caveats)
    assert not spec.source.endswith(".") and "  " not in spec.source
    assert bool(spec.split_file) != bool(spec.list_files)
    for mark in (spec.split_sha256, spec.classnames_sha256):
        assert mark == "" or (len(mark) == 12 and int(mark, 16) >= 0)
    assert all(template.count("{}") == 1 for template in spec.templates)


def test_templates_and_mask_folders_are_the_published_ones():
    assert {name: spec.templates[0] for name, spec in SPECS.items() if spec.templates != ("a photo of a {}.",)} == {
        "oxford_pets": "a photo of a {}, a type of pet.",
        "oxford_flowers": "a photo of a {}, a type of flower.",
        "fgvc_aircraft": "a photo of a {}, a type of aircraft.",
        "food101": "a photo of {}, a type of food.",
        "dtd": "{} texture.",
        "eurosat": "a centered satellite photo of {}.",
        "ucf101": "a photo of a person doing {}.",
    }
    flat = {"oxford_pets", "stanford_cars", "oxford_flowers", "fgvc_aircraft"}
    assert {name: spec.mask_layout for name, spec in SPECS.items()} == {
        name: "flat" if name in flat else "SUN397" if name == "sun397" else "class" for name in NAMES
    }


@miniature
@pytest.mark.parametrize(
    "name, number", LAYOUTS, ids=[f"{n}-{SPECS[n].layouts[i].home or '.'}-{i}" for n, i in LAYOUTS]
)
def test_every_layout_is_found_and_read(tmp_path, name, number):
    layout = SPECS[name].layouts[number]
    split = mini_public_datasets.write_dataset(SPECS[name], tmp_path, layout)
    dataset = open_dataset(name, tmp_path)
    assert dataset.location == locate(SPECS[name], tmp_path) and dataset.location.layout == layout
    for part in mini_public_datasets.PARTS:
        examples = dataset.examples(part)
        assert [[e.key, e.label, dataset.classnames[e.label]] for e in examples] == split[part]
        assert all(e.path == tmp_path / layout.home / layout.images / e.key for e in examples)
        assert all(e.path.is_file() for e in examples)


@miniature
@unseen
@pytest.mark.parametrize("name", NAMES)
def test_trains_and_evaluates(tmp_path, name):
    mini_public_datasets.write_dataset(SPECS[name], tmp_path, SPECS[name].layouts[-1])
    before = sorted(tmp_path.rglob("*"))
    tuned = ct.train("coop", data=name, root=str(tmp_path), shots=1, epochs=1, n_ctx=2)
    assert tuned.classnames == open_dataset(name, tmp_path).classnames
    assert tuned.model.templates == SPECS[name].templates
    assert set(tuned.evaluate(name)) == {"test"} and tuned.evaluate(name) == tuned.evaluate()
    assert sorted(tmp_path.rglob("*")) == before, "something was written into the data"


@miniature
@pytest.mark.parametrize("name", NAMES)
def test_invented_splits_have_the_form_of_the_published_ones(tmp_path, name):
    spec = SPECS[name]
    split = mini_public_datasets.make_split(spec)
    mini_public_datasets.write_dataset(spec, tmp_path, split=split)
    dataset = open_dataset(name, tmp_path)
    assert len(dataset.classnames) == 4 and [len(dataset.examples(part)) for part in mini_public_datasets.PARTS] == [
        12,
        8,
        8,
    ]
    if spec.split_file and (mini_public_datasets.SPLITS / spec.split_file).is_file():
        real = mini_public_datasets.mini_split(spec)
        assert {path.count("/") for path, *_ in split["train"]} == {path.count("/") for path, *_ in real["train"]}


@miniature
def test_draws_follow_the_published_rule_in_file_order(pets):
    root, split = pets
    rng = random.Random(0)
    expected = []
    for part, shots in (("train", 2), ("val", 2)):
        for label in dict.fromkeys(label for _, label, _ in split[part]):
            expected += [item[0] for item in rng.sample([x for x in split[part] if x[1] == label], shots)]
    train, val = open_dataset("oxford_pets", root).draw(2, 0)
    assert [e.key for e in train + val] == expected


def test_the_published_split_gives_no_warning(tmp_path):
    spec = SPECS["oxford_pets"]
    content = json.loads(published(spec).read_text(encoding="utf-8"))
    images = tmp_path / "oxford-iiit-pet" / "images"
    images.mkdir(parents=True)
    (tmp_path / spec.split_file).write_bytes(published(spec).read_bytes())
    one = tmp_path / "one.jpg"
    one.write_bytes(mini_public_datasets.jpeg(0))
    for path in {item[0] for part in mini_public_datasets.PARTS for item in content[part]}:
        os.link(one, images / path)
    dataset = open_dataset("oxford_pets", tmp_path)
    train, val = dataset.draw(16, 1)
    drawn = hashlib.sha256("\n".join(e.key for e in train + val).encode()).hexdigest()[:12]
    assert drawn == "c9fb98462393" and dataset.read(train[0]).image.shape == (3, 48, 48)


@miniature
def test_the_root_from_the_environment(pets, monkeypatch):
    monkeypatch.setenv(ROOT_VARIABLE, str(pets[0]))
    assert sources.get("oxford_pets").name == "oxford_pets"


@miniature
@unseen
def test_from_the_command_line(cli, pets, tmp_path):
    root, _ = pets
    result = cli(
        "train", "coop", "--data", "oxford_pets", "--root", root, "--shots", 1, "--epochs", 1, "--out", tmp_path / "run"
    )
    assert result.code == 0 and "test" in result.out and result.err.count("is not the published split") == 1
    again = cli("evaluate", tmp_path / "run", "--root", root)
    assert again.code == 0 and again.out == result.out


@miniature
@unseen
def test_imported_draws_are_used_for_training(pets, tmp_path):
    root, _ = pets
    train, val = open_dataset("oxford_pets", root).draw(1, 9)
    mini_public_datasets.write_pickled_draw(tmp_path / "draws" / "shot_1-seed_1.pkl", train=train, val=val)
    dataset = open_dataset("oxford_pets", root, draws=str(tmp_path / "draws"))
    assert dataset.draw(1, 1) == (train, val) != open_dataset("oxford_pets", root).draw(1, 1)
    tuned = ct.train("coop", data="oxford_pets", root=str(root), draws=str(tmp_path / "draws"), shots=1, epochs=1)
    assert tuned.run.reading.draws and set(tuned.evaluate("oxford_pets")) == {"test"}
    with pytest.raises(UserError, match=r"no shot_2-seed_1\.pkl in .*; check --draws"):
        ct.train("coop", data="oxford_pets", root=str(root), draws=str(tmp_path / "draws"), shots=2, epochs=1)
