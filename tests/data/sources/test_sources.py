"""Datasets by spec."""

import pytest

from cliptune.data import sources
from cliptune.data.dataset import Dataset
from cliptune.errors import UserError
from toys import write_pictures


def test_every_file_is_a_source_that_says_what_it_is():
    import importlib

    for name in sources.names():
        assert importlib.import_module(f"cliptune.data.sources.{name}").__doc__


def test_what_follows_the_colon_is_the_sources_own(tmp_path):
    write_pictures(tmp_path / "pictures", each=3)
    assert sources.get("emoji").name == "emoji"
    assert len(sources.get("emoji:train_per_class=1").examples("train")) == len(sources.get("emoji").classnames)
    assert sources.get(f"folder:{tmp_path / 'pictures'}").classnames == ("cat", "horse", "pig")


@pytest.mark.parametrize(
    "spec, hint",
    [
        ("emojy", "nearest: emoji"),
        ("photos", "folder:PATH"),
        ("floder:x", "nearest: folder"),
        ("", "your own pictures: folder:PATH"),
        ("/home/me/photos", "folder:PATH"),
    ],
)
def test_an_unknown_name_shows_the_nearest(spec, hint):
    with pytest.raises(UserError, match=f"unknown dataset '{spec}'; nearest: .*") as told:
        sources.get(spec)
    assert hint in str(told.value)


def test_folder_needs_a_path():
    for spec in ("folder", "folder:"):
        with pytest.raises(UserError, match="folder needs a path: --data folder:PATH"):
            sources.get(spec)


def test_every_source_keeps_the_interface(tmp_path):
    write_pictures(tmp_path / "pictures", each=3)
    specs = {"emoji": "emoji:train_per_class=2,test_per_class=2", "folder": f"folder:{tmp_path / 'pictures'}"}
    assert set(specs) <= set(sources.names())
    for spec in specs.values():
        dataset = sources.get(spec)
        assert isinstance(dataset, Dataset) and dataset.name and len(set(dataset.classnames)) == len(dataset.classnames)
        assert all(template.count("{}") == 1 for template in dataset.templates)
        keys = set()
        for split in ("train", "val", "test"):
            examples = dataset.examples(split)
            assert examples == sources.get(spec).examples(split), "the order is fixed"
            assert not keys & {e.key for e in examples}, "no picture in two splits"
            keys |= {e.key for e in examples}
            assert all(0 <= e.label < len(dataset.classnames) for e in examples)
        picture = dataset.read(dataset.examples("train")[0])
        assert picture.image.shape[0] == 3 and str(picture.image.dtype) == "torch.uint8"
        for examples in dataset.variants().values():
            assert [e.label for e in examples] == [e.label for e in dataset.examples("test")]
