"""Registry of datasets: `"emoji"`, `"emoji:rho=0.5"`, `"folder:PATH"`, `"oxford_pets"`.

Every module of `data/custom/` and `data/public/` is an entry, and so is the embedded dataset, `emoji`.
"""

from __future__ import annotations

import copy
from pathlib import Path

from cliptune.data.config import DataConfig
from cliptune.data.custom.common.torch_dataset import PREFIX, TorchDataset
from cliptune.data.dataset import Dataset
from cliptune.errors import UserError
from cliptune.registry import Registry, nearest

REGISTRY = Registry(
    "dataset",
    ("cliptune.data.custom", "cliptune.data.public"),
    Dataset,
    others={"emoji": "cliptune.data.emoji.dataset"},
)


def names() -> list[str]:
    """The names of all datasets, sorted."""
    return REGISTRY.names()


def dataset_class(name: str) -> type[Dataset]:
    """The class of a dataset. Raises `UserError` with the nearest names if there is none."""
    return REGISTRY.get(name)


def get(spec: str, config: DataConfig | None = None) -> Dataset:
    """Open the dataset of a spec: a name, then for some datasets a colon and an argument.

    Raises:
        UserError: If there is no such dataset (the nearest names are shown), or if it cannot be opened.
    """
    name, _, argument = spec.partition(":")
    config = config or DataConfig()
    if name == PREFIX:
        TorchDataset.from_spec(argument, config)
    if name not in names():
        if spec and (guess := guess_spec(spec)):
            raise UserError(f"unknown dataset {spec!r}; to read that path, use {guess}")
        raise UserError(f"unknown dataset {spec!r}; {nearest(name, names())} (your own images: folder:PATH)")
    return apply_config(dataset_class(name).from_spec(argument, config), config)


def image_kind(spec: str) -> str:
    """What the images of a spec are, "photographs" or "drawings", without opening the dataset."""
    name = spec.partition(":")[0]
    return (dataset_class(name) if name in names() else Dataset).image_kind


def guess_spec(path: str) -> str:
    """The spec that reads a folder or file, given its path alone; "" if none does."""
    place = Path(path).expanduser()
    suffix = place.suffix.lower()
    if place.is_dir():
        return f"folder:{path}"
    kinds = {".csv": "csv", ".tsv": "csv", ".json": "json", ".parquet": "hub"}
    return f"{kinds[suffix]}:{path}" if suffix in kinds and place.is_file() else ""


def apply_config(dataset: Dataset, config: DataConfig) -> Dataset:
    """A copy of the dataset with the settings of a run; a dataset passed as an object keeps its own at the defaults."""
    dataset = copy.copy(dataset)
    if config != DataConfig():
        dataset.templates = config.templates or dataset.templates
        dataset.draws, dataset.reading = config.draws, config
    return dataset
