"""Background reliance files next to records: reading them, and tables of them.

A file is the JSON of a `RelianceRecord`: the settings, the checkpoint and the measured values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cliptune import plain_values
from cliptune.analysis.background_conditions import CONDITIONS
from cliptune.analysis.reliance import Reliance
from cliptune.errors import UserError
from cliptune.files import read_text
from cliptune.results import store

#: File names: this, or this followed by a hyphen and a hash.
FILE_PREFIX = "background"
#: Columns after those of `CONDITIONS`: name -> meaning.
EXTRA_COLUMNS: Mapping[str, str] = {
    "drop": "Original minus swapped, in points, with the standard error of the difference on these images.",
    "followed": "Share of swapped images that are predicted as the class of their new background.",
    "energy": "Share of the saliency (Grad-CAM) that is on the object.",
    "pointing": "Share of images whose most salient pixel is on the object.",
    "area": "Share of the image area that is object: the expected energy of uniform saliency.",
}


@dataclass(frozen=True)
class RelianceRecord:
    """The background reliance of one checkpoint.

    Args:
        data, test: the dataset and the test set.
        masks: the source of the masks.
        seed: selects the swapped backgrounds.
        saliency: the class that Grad-CAM explains, "predicted" or "true".
        checkpoint: a hash of the checkpoint file.
        reliance: the measured values.
    """

    data: str
    test: str
    masks: str
    seed: int
    saliency: str
    checkpoint: str
    reliance: Reliance

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self)

    @property
    def settings(self) -> tuple[str, str, str, str]:
        """The settings that must agree for values to be comparable."""
        return self.data, self.test, self.masks, self.saliency


def load_reliance(path: Path) -> RelianceRecord:
    """Read the record in `path`. Raises `UserError` if the file is damaged."""
    text = read_text(path, store.MAX_RECORD_BYTES)
    try:
        content = plain_values.from_json(text)
        record = RelianceRecord(**{**content, "reliance": Reliance.from_dict(content["reliance"])})
    except (ValueError, TypeError, KeyError):
        record = None
    if record is None or not _is_valid(record):
        raise UserError(
            f"{path} was not written by cliptune background, or is damaged: remove it and run the command again"
        )
    return record


def _is_valid(record: RelianceRecord) -> bool:
    """Whether the values have the types and ranges that `cliptune background` writes."""
    values = record.reliance
    shares = (values.followed, values.area, *(v for v in (values.energy, values.pointing) if v is not None))
    return (
        all(isinstance(text, str) for text in (*record.settings, record.checkpoint))
        and all(map(store.is_count, (record.seed, values.pictures, values.blank)))
        and values.pictures > 0
        and all(map(store.is_finite, shares))
        and store.is_mapping_of(store.is_finite)(values.accuracy)
        and all(map(store.is_mapping_of(store.is_count), (values.lost, values.gained, values.left_out)))
        and set(CONDITIONS) <= values.accuracy.keys()
        and "swapped" in values.lost.keys() & values.gained.keys()
        and all(values.lost[name] + values.gained.get(name, 0) <= values.pictures for name in values.lost)
    )


def run_reliance(folder: Path) -> list[RelianceRecord]:
    """The records in the folder of a run; for equal settings, the one measured on most images."""
    found: dict[tuple, RelianceRecord] = {}
    for record in (load_reliance(path) for path in sorted(folder.glob(f"{FILE_PREFIX}*.json"))):
        other = found.get(record.settings)
        if other is None or other.reliance.pictures < record.reliance.pictures:
            found[record.settings] = record
    return list(found.values())


@dataclass(frozen=True)
class RelianceTable:
    """Reliance measured with equal settings.

    Args:
        heading: dataset, test set, mask source and class of the saliency.
        images: numbers of test images.
        rows: label, number of runs, and values in percent by column of `CONDITIONS` and `EXTRA_COLUMNS` (None if
            unknown).
        errors: standard error of "drop" over the images of one run; None for averages over several runs.
    """

    heading: tuple[str, str, str, str]
    images: tuple[int, ...]
    rows: tuple[tuple[str, int, Mapping[str, float | None]], ...]
    errors: Mapping[str, float | None] = field(default_factory=dict)


def tabulate_reliance(measured: Mapping[str, Sequence[RelianceRecord]]) -> list[RelianceTable]:
    """One table per setting with a row per label, the mean over its runs."""
    tables = []
    for settings in dict.fromkeys(record.settings for runs in measured.values() for record in runs):
        rows, errors, images = [], dict[str, float | None](), set[int]()
        for label, runs in measured.items():
            alike = [record.reliance for record in runs if record.settings == settings]
            if not alike:
                continue
            images |= {reliance.pictures for reliance in alike}
            each = list(map(_values, alike))
            rows.append((label, len(alike), {name: _mean([values[name] for values in each]) for name in each[0]}))
            errors[label] = alike[0].drop("swapped")[1] if len(alike) == 1 else None
        tables.append(RelianceTable(settings, tuple(sorted(images)), tuple(rows), errors))
    return tables


def _values(reliance: Reliance) -> dict[str, float | None]:
    saliency = {"energy": reliance.energy, "pointing": reliance.pointing, "area": reliance.area}
    accuracy = {name: reliance.accuracy[name] for name in CONDITIONS}
    return {**accuracy, "drop": reliance.drop("swapped")[0], "followed": reliance.followed, **saliency}


def _mean(values: Sequence[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return sum(known) / len(known) if known else None
