"""`cliptune list` shows sizes of methods and names of backbones without loading either."""

import open_clip
import pytest

from cliptune import methods
from cliptune.backbones import listing
from cliptune.backbones.bundled import BUNDLED
from cliptune.commands.list_ import count_parameters, recorded_sizes


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("zeroshot", "0"),
        ("tip_adapter", "0"),
        ("tip_adapter_f", "512 per image"),
        ("linear_probe", "513 per class"),
        ("clip_adapter", "131,072"),
        ("coop", "8,192"),
    ],
)
def test_trainable_parameters(name, size):
    assert count_parameters(name) == size


@pytest.mark.slow
def test_recorded_parameter_counts_are_those_measured():
    plain = [name for name in methods.names() if not methods.is_wrapper(methods.get(name))]
    assert recorded_sizes() == {name: count_parameters(name) for name in plain}, "run tools/sizes.py"


def test_names_and_tags_are_those_of_open_clip(monkeypatch):
    monkeypatch.delitem(listing.sys.modules, "open_clip")  # read as if open_clip had not been imported yet
    assert listing.list_backbones() == [*BUNDLED, *open_clip.list_models()]
    tables = {name: listing.list_pretrained_tags(name) for name in listing.list_backbones()}
    assert tables == {name: open_clip.list_pretrained_tags_by_model(name) for name in listing.list_backbones()}
    assert sum(map(len, tables.values())) > 100
