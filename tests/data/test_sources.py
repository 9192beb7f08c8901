"""Datasets by spec."""

import json
from collections import Counter

import pytest

import fake_voc
import mini_public_datasets
from cliptune.data import public, sources
from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.public.common.wnids import wnids
from cliptune.errors import UserError
from tiny_tasks import write_images


def test_every_module_is_a_source_with_a_description():
    import importlib

    for name in sources.names():
        assert importlib.import_module(sources.dataset_class(name).__module__).__doc__


def test_the_source_parses_the_argument_after_the_colon(tmp_path):
    write_images(tmp_path / "images", each=3)
    assert sources.get("emoji").name == "emoji"
    assert len(sources.get("emoji:train_per_class=1").examples("train")) == len(sources.get("emoji").classnames)
    assert sources.get(f"folder:{tmp_path / 'images'}").classnames == ("cat", "horse", "pig")


@pytest.mark.parametrize(
    "spec, hint",
    [
        ("emojy", "nearest: emoji"),
        ("photos", "folder:PATH"),
        ("floder:x", "nearest: folder"),
        ("", "your own images: folder:PATH"),
        ("/home/me/photos", "folder:PATH"),
    ],
)
def test_an_unknown_name_shows_the_nearest(spec, hint):
    with pytest.raises(UserError, match=f"unknown dataset '{spec}'; (nearest|known): .*") as error:
        sources.get(spec)
    assert hint in str(error.value)


def test_folder_needs_a_path():
    for spec in ("folder", "folder:"):
        with pytest.raises(UserError, match="folder needs a path: --data folder:PATH"):
            sources.get(spec)


def imagenet(name, folder, *parts):
    """A spec of ImageNet or one of its variants, with one or a few images per class."""
    kind = sources.dataset_class(name)
    ids = wnids(getattr(kind, "subset", ""))
    names = [str(label) for label in range(len(ids))] if getattr(kind, "numbered", False) else ids
    images = folder / kind.spec.layouts[0].home / kind.spec.layouts[0].images
    for part in parts or ("",):
        mini_public_datasets.write_class_folders(images / part, names, each=2 if part == "train" else 1)
    return name, DataConfig(root=str(folder))


def split_file(folder):
    split = mini_public_datasets.make_split(public.specs()["dtd"])
    mini_public_datasets.write_images(folder, [item for part in split.values() for item in part])
    (folder / "split.json").write_text(json.dumps(split))
    return f"json:{folder / 'split.json'}"


def table(folder):
    write_images(folder, each=5)
    rows = [f"{p.relative_to(folder)},{p.parent.name}" for p in sorted(folder.rglob("*.png"))]
    (folder / "table.csv").write_text("\n".join(["path,label", *rows]))
    return f"csv:{folder / 'table.csv'}"


def saved(folder):
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    images = sorted(write_images(folder / "images", each=5).rglob("*.png"))
    columns = {"image": [str(p) for p in images], "label": [p.parent.name for p in images]}
    datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image()).save_to_disk(folder / "saved")
    return f"hub:{folder / 'saved'}"


#: How each source is opened in its own folder: a spec, or a spec and a data configuration; benchmarks by specification.
OPENED = {
    "emoji": lambda folder: "emoji:train_per_class=2,test_per_class=2",
    "folder": lambda folder: f"folder:{write_images(folder, each=3)}",
    "csv": table,
    "json": split_file,
    "hub": saved,
    "imagenet": lambda folder: imagenet("imagenet", folder, "train", "val"),
    "imagenetv2": lambda folder: imagenet("imagenetv2", folder),
    "imagenet_sketch": lambda folder: imagenet("imagenet_sketch", folder),
    "imagenet_a": lambda folder: imagenet("imagenet_a", folder),
    "imagenet_r": lambda folder: imagenet("imagenet_r", folder),
    "pascal_voc": lambda folder: ("pascal_voc", DataConfig(root=str(fake_voc.write_voc(folder)))),
}
#: Sources without training images.
TESTED_ON = {"imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"}
#: Names shared by two classes each.
TWICE = {"missile", "sunglasses"}


def spec_of(name, folder):
    if name in OPENED:
        spec_or_pair = OPENED[name](folder)
        return spec_or_pair if isinstance(spec_or_pair, tuple) else (spec_or_pair, DataConfig())
    mini_public_datasets.write_dataset(public.specs()[name], folder)
    return name, DataConfig(root=str(folder))


@pytest.mark.filterwarnings("ignore:.* is not the published split of ", "ignore:Pascal VOC in .* training images")
@pytest.mark.parametrize("name", sources.names())
def test_every_source_implements_the_interface(tmp_path, name):
    spec, reading = spec_of(name, tmp_path)
    dataset, again = (sources.get(spec, reading) for _ in range(2))
    assert isinstance(dataset, Dataset) and dataset.name
    repeated = {n for n, count in Counter(dataset.classnames).items() if count > 1}
    assert repeated <= (TWICE if name.startswith("imagenet") else set())
    assert all(template.count("{}") == 1 for template in dataset.templates)
    keys = set()
    for split in ("train", "val", "test"):
        examples = dataset.examples(split)
        assert examples == again.examples(split), "the order is fixed"
        assert not keys & {e.key for e in examples}, "no image in two splits"
        keys |= {e.key for e in examples}
        assert all(0 <= label < len(dataset.classnames) for e in examples for label in (e.label, *e.labels))
    assert dataset.examples("test") and bool(dataset.examples("train")) == (name not in TESTED_ON)
    image = dataset.read(dataset.examples("test")[0])
    assert image.image.shape[0] == 3 and str(image.image.dtype) == "torch.uint8"
    train, val = dataset.draw(1, 1)
    assert (train, val) == again.draw(1, 1) and bool(train) == (name not in TESTED_ON)
    assert not {e.key for e in train + val} & {e.key for e in dataset.examples("test")}
    for examples in dataset.variants().values():
        assert [e.label for e in examples] == [e.label for e in dataset.examples("test")]


@pytest.mark.parametrize("name", public.specs())
def test_every_public_dataset_needs_only_the_root(tmp_path, name):
    assert public.specs()[name].name == name
    with pytest.raises(UserError, match=f"{name} takes nothing after the colon, got 'x'; set --root instead"):
        sources.get(f"{name}:x", DataConfig(root=str(tmp_path)))
    with pytest.raises(UserError, match=f"no {public.specs()[name].title} under .*: looked for "):
        sources.get(name, DataConfig(root=str(tmp_path)))
