"""Datasets by name: `"emoji"`, `"emoji:rho=0.5"`, `"folder:PATH"`. A file here is a source."""

from __future__ import annotations

import copy
import difflib
import importlib
import inspect
import pkgutil
from pathlib import Path

from cliptune.data.card import Card
from cliptune.data.dataset import Dataset
from cliptune.data.objects import PYTHON, Objects
from cliptune.data.settings import Reading
from cliptune.errors import UserError


def names() -> list[str]:
    """Every source's name."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def kind(name: str) -> type[Dataset]:
    """The one Dataset class of a source's file."""
    module = importlib.import_module(f"{__name__}.{name}")
    found = [
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, Dataset) and c.__module__ == module.__name__
    ]
    assert len(found) == 1, f"data/sources/{name}.py must define exactly one Dataset"
    return found[0]


def cards() -> dict[str, Card]:
    """What is known of each public dataset, by the name of its source."""
    found = {name: getattr(kind(name), "card", None) for name in names()}
    return {name: card for name, card in found.items() if card is not None}


def get(spec: str, reading: Reading | None = None) -> Dataset:
    """The dataset a spec names; what follows the colon is the source's own. Raises `UserError` with the nearest
    names."""
    name, _, argument = spec.partition(":")
    if name == PYTHON:
        Objects.from_spec(argument, reading or Reading())
    if name not in names():
        if spec and (meant := meant_by(spec)):
            raise UserError(f"unknown dataset {spec!r}; what is at that path is read by {meant}")
        close = difflib.get_close_matches(name, names(), n=2, cutoff=0.4)
        raise UserError(
            f"unknown dataset {spec!r}; nearest: {', '.join(close or names())} (your own pictures: folder:PATH)"
        )
    reading = reading or Reading()
    return told(kind(name).from_spec(argument, reading), reading)


def meant_by(path: str) -> str:
    """The spec by which a folder or file is read that is called by its path alone, or ""."""
    place = Path(path).expanduser()
    suffix = place.suffix.lower()
    if place.is_dir():
        return f"folder:{path}"
    kinds = {".csv": "csv", ".tsv": "csv", ".json": "json", ".parquet": "hub"}
    return f"{kinds[suffix]}:{path}" if suffix in kinds and place.is_file() else ""


def told(dataset: Dataset, reading: Reading) -> Dataset:
    """A dataset that reads as a run says; one that comes as an object keeps its own way where the run says nothing."""
    dataset = copy.copy(dataset)
    if reading != Reading():
        dataset.templates = reading.templates or dataset.templates
        dataset.draws, dataset.reading = reading.draws, reading
    return dataset
