"""Miniature datasets on local servers, packed as on their original sites and in the collection."""

import dataclasses
import os
from pathlib import Path

import pytest

import mini_public_datasets
from cliptune.data import public, sources
from cliptune.data.config import DataConfig
from cliptune.data.public import download as module
from cliptune.data.public.common.spec import locate
from cliptune.data.public.download import DownloadOptions
from make_archives import tarred, zipped

CARDS = public.specs()
#: The archives of the original sites, and the names in them of paths in the dataset's CoOp folder.
SITES = {
    "oxford_pets": {"images.tar.gz": ("images/", "images/"), "annotations.tar.gz": ("annotations/", "annotations/")},
    "oxford_flowers": {"102flowers.tgz": ("jpg/", "jpg/")},
    "food101": {"food-101.tar.gz": ("", "food-101/")},
    "fgvc_aircraft": {"fgvc-aircraft-2013b.tar.gz": ("", "fgvc-aircraft-2013b/data/")},
    "sun397": {"SUN397.tar.gz": ("SUN397/", "SUN397/")},
    "dtd": {"dtd-r1.0.1.tar.gz": ("", "dtd/")},
    "eurosat": {"EuroSAT.zip": ("2750/", "2750/")},
    "caltech101": {"caltech-101.zip": ("101_ObjectCategories/", "101_ObjectCategories/")},
}


def change_recipe(monkeypatch, name, **changes):
    """Replace fields of a dataset's recipe during a test."""
    kind = sources.dataset_class(name)
    recipe = dataclasses.replace(kind.spec.recipe, **changes)
    monkeypatch.setattr(kind, "spec", dataclasses.replace(kind.spec, recipe=recipe))


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def made(tmp_path):
    """A function that returns the files of a miniature dataset by their path in its CoOp folder."""

    def call(name: str) -> dict[str, bytes]:
        mini_public_datasets.write_dataset(CARDS[name], tmp_path / "made")
        home = tmp_path / "made" / CARDS[name].layouts[0].home
        return {p.relative_to(home).as_posix(): p.read_bytes() for p in home.rglob("*") if p.is_file()}

    return call


@pytest.fixture
def original(site, made, monkeypatch):
    """A function that puts a miniature dataset on its original site, without digests, and returns the order for it."""

    def call(name: str) -> DownloadOptions:
        files, split, recipe = made(name), CARDS[name].split_file, CARDS[name].recipe
        site.files[f"/{split}"] = files.pop(split, b"")
        files["annotations/list.txt"] = b"?"
        for archive, (own, called) in SITES[name].items():
            content = {called + path.removeprefix(own): x for path, x in files.items() if path.startswith(own)}
            packed = zipped(content) if archive.endswith(".zip") else tarred(content)
            if name == "caltech101":
                packed = zipped({"caltech-101/101_ObjectCategories.tar.gz": tarred(content), "caltech-101/x.tar": b"?"})
            site.files[f"/{archive}"] = packed
        remotes = tuple(dataclasses.replace(remote, digest="") for remote in recipe.remote_files)
        change_recipe(monkeypatch, name, remote_files=remotes)
        monkeypatch.setattr(module, "short_sha256", lambda content: CARDS[name].split_sha256)
        return DownloadOptions("original", site.url)

    return call


@pytest.fixture
def dtd(hub, made):
    """Put DTD into the collection; returns the order that downloads it."""
    return DownloadOptions("archive", hub("dtd.zip", zipped({f"dtd/{path}": x for path, x in made("dtd").items()})).url)


def assert_complete(name: str, root: Path) -> None:
    """Assert that the dataset can be read in the CoOp layout and that no other files are left."""
    place = locate(CARDS[name], root)
    assert place.layout.kind == "CoOp"
    with pytest.warns(UserWarning, match="not the published"):
        dataset = sources.get(name, DataConfig(root=str(root)))
    assert len(dataset.examples("train")) == 12 and dataset.read(dataset.examples("test")[0])
    assert os.listdir(root) == [Path(CARDS[name].home).parts[0]]
