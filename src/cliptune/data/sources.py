"""Datasets by name: `"emoji"`, `"emoji:rho=0.5"`, `"folder:PATH"`. A file here is a source."""

from __future__ import annotations

import copy
import difflib
import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path

from cliptune.data.config import DataConfig
from cliptune.data.custom.torch_dataset import PREFIX, TorchDataset
from cliptune.data.dataset import Dataset
from cliptune.data.public.common.spec import DatasetSpec
from cliptune.errors import UserError

#: Folders of `cliptune.data` in which each module is a source.
ROOMS = ("custom", "public")


def names() -> list[str]:
    """Every source's name."""
    rooms = [str(Path(__file__).parent / room) for room in ROOMS]
    found = [module.name for module in pkgutil.iter_modules(rooms) if not module.ispkg]
    return sorted({*found, "emoji"} - {"torch_dataset"})


def dataset_class(name: str) -> type[Dataset]:
    """The one Dataset class of a source's file."""
    homes = (f"cliptune.data.{room}.{name}" for room in ROOMS)
    home = next((home for home in homes if importlib.util.find_spec(home)), "cliptune.data.emoji.dataset")
    module = importlib.import_module(home)
    found = [
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, Dataset) and c.__module__ == module.__name__
    ]
    assert len(found) == 1, f"the source {name} must define exactly one Dataset"
    return found[0]


def public_specs() -> dict[str, DatasetSpec]:
    """What is known of each public dataset, by the name of its source."""
    found = {name: getattr(dataset_class(name), "card", None) for name in names()}
    return {name: card for name, card in found.items() if card is not None}


def get(spec: str, reading: DataConfig | None = None) -> Dataset:
    """The dataset a spec names; what follows the colon is the source's own. Raises `UserError` with the nearest
    names."""
    name, _, argument = spec.partition(":")
    if name == PREFIX:
        TorchDataset.from_spec(argument, reading or DataConfig())
    if name not in names():
        if spec and (meant := guess_spec(spec)):
            raise UserError(f"unknown dataset {spec!r}; what is at that path is read by {meant}")
        close = difflib.get_close_matches(name, names(), n=2, cutoff=0.4)
        raise UserError(
            f"unknown dataset {spec!r}; nearest: {', '.join(close or names())} (your own pictures: folder:PATH)"
        )
    reading = reading or DataConfig()
    return apply_config(dataset_class(name).from_spec(argument, reading), reading)


def guess_spec(path: str) -> str:
    """The spec by which a folder or file is read that is called by its path alone, or ""."""
    place = Path(path).expanduser()
    suffix = place.suffix.lower()
    if place.is_dir():
        return f"folder:{path}"
    kinds = {".csv": "csv", ".tsv": "csv", ".json": "json", ".parquet": "hub"}
    return f"{kinds[suffix]}:{path}" if suffix in kinds and place.is_file() else ""


def apply_config(dataset: Dataset, reading: DataConfig) -> Dataset:
    """A dataset that reads as a run says; one that comes as an object keeps its own way where the run says nothing."""
    dataset = copy.copy(dataset)
    if reading != DataConfig():
        dataset.templates = reading.templates or dataset.templates
        dataset.draws, dataset.reading = reading.draws, reading
    return dataset
