"""Registry of datasets: `"emoji"`, `"emoji:rho=0.5"`, `"folder:PATH"`, `"oxford_pets"`.

Every module of `data/custom/` and `data/public/` is an entry, and so is the embedded dataset, `emoji`.
"""

from __future__ import annotations

import copy
import difflib
import importlib
import inspect
import pkgutil
from pathlib import Path

from cliptune.data.config import DataConfig
from cliptune.data.custom.torch_dataset import PREFIX, TorchDataset
from cliptune.data.dataset import Dataset
from cliptune.data.public.common.public_dataset import PublicDataset
from cliptune.data.public.common.spec import DatasetSpec
from cliptune.errors import UserError


def _modules() -> dict[str, str]:
    """Dataset name -> module."""
    found = {"emoji": "cliptune.data.emoji.dataset"}
    for room in ("custom", "public"):
        for module in pkgutil.iter_modules([str(Path(__file__).parent / room)]):
            if not module.ispkg and module.name != "torch_dataset":  # which has no spec: it is passed as an object
                found[module.name] = f"cliptune.data.{room}.{module.name}"
    return dict(sorted(found.items()))


def names() -> list[str]:
    """The names of all datasets, sorted."""
    return list(_modules())


def dataset_class(name: str) -> type[Dataset]:
    """The one `Dataset` subclass that the module of a dataset defines."""
    module = importlib.import_module(_modules()[name])
    found = [
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, Dataset) and c.__module__ == module.__name__
    ]
    assert len(found) == 1, f"{module.__name__} must define exactly one Dataset"
    return found[0]


def public_classes() -> dict[str, type[PublicDataset]]:
    """The classes of the public datasets by name."""
    found = {name: dataset_class(name) for name, module in _modules().items() if ".public." in module}
    return {name: kind for name, kind in found.items() if issubclass(kind, PublicDataset)}


def public_specs() -> dict[str, DatasetSpec]:
    """The specifications of the public datasets by name."""
    return {name: kind.spec for name, kind in public_classes().items()}


def get(spec: str, reading: DataConfig | None = None) -> Dataset:
    """Open the dataset of a spec: a name, then for some datasets a colon and an argument.

    Raises:
        UserError: If there is no such dataset (the nearest names are shown), or if it cannot be opened.
    """
    name, _, argument = spec.partition(":")
    reading = reading or DataConfig()
    if name == PREFIX:
        TorchDataset.from_spec(argument, reading)
    if name not in names():
        if spec and (guess := guess_spec(spec)):
            raise UserError(f"unknown dataset {spec!r}; to read that path, use {guess}")
        close = difflib.get_close_matches(name, names(), n=2, cutoff=0.4)
        raise UserError(
            f"unknown dataset {spec!r}; nearest: {', '.join(close or names())} (your own images: folder:PATH)"
        )
    return apply_config(dataset_class(name).from_spec(argument, reading), reading)


def guess_spec(path: str) -> str:
    """The spec that reads a folder or file, given its path alone; "" if none does."""
    place = Path(path).expanduser()
    suffix = place.suffix.lower()
    if place.is_dir():
        return f"folder:{path}"
    kinds = {".csv": "csv", ".tsv": "csv", ".json": "json", ".parquet": "hub"}
    return f"{kinds[suffix]}:{path}" if suffix in kinds and place.is_file() else ""


def apply_config(dataset: Dataset, reading: DataConfig) -> Dataset:
    """A copy of the dataset with the settings of a run; a dataset passed as an object keeps its own at the defaults."""
    dataset = copy.copy(dataset)
    if reading != DataConfig():
        dataset.templates = reading.templates or dataset.templates
        dataset.draws, dataset.reading = reading.draws, reading
    return dataset
