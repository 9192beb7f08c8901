"""Templates of public datasets that a method uses instead of the datasets' own: one YAML file per table.

A row is a dataset's name and its templates. Datasets without a row keep their own templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from cliptune import plain_values
from cliptune.data.dataset import Dataset


def templates_of(dataset: Dataset, table: str = "") -> tuple[str, ...]:
    """The dataset's templates in `table`; its own if there is none, or if the settings of the run choose others."""
    own = tuple(dataset.templates)
    return own if dataset.reading.templates else read_table(table).get(dataset.name, own)


@cache
def read_table(table: str) -> Mapping[str, tuple[str, ...]]:
    """Dataset name -> templates of the file `<table>.yaml`, empty for ""."""
    if not table:
        return {}
    text = (resources.files(__name__) / f"{table}.yaml").read_text(encoding="utf-8")
    return {dataset: tuple(row) for dataset, row in plain_values.from_yaml(text).items()}
