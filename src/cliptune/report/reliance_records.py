"""Reliance on backgrounds as kept beside records, read back, and as tables.

What is kept is JSON of the fields of `Measured`: what was asked of which checkpoint, and the numbers.
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

#: Files are called this, or this, a hyphen and more.
FILE_PREFIX = "background"
#: Columns after those of `CONDITIONS`: name -> what it is.
EXTRA_COLUMNS: Mapping[str, str] = {
    "drop": "Original minus swapped, in points, with the standard error of the difference on these pictures.",
    "followed": "How many of the swapped pictures are given the class whose background they got.",
    "energy": "Share of the saliency (Grad-CAM) that lies on the object.",
    "pointing": "How often the most salient pixel lies on the object.",
    "area": "Share of the pictures that is object: what saliency spread evenly would get.",
}


@dataclass(frozen=True)
class RelianceRecord:
    """`reliance` of a checkpoint (a hash of its file), on which pictures, with which masks. saliency: of which class,
    "predicted" or "true". seed: of the swapped backgrounds."""

    data: str
    test: str
    masks: str
    seed: int
    saliency: str
    checkpoint: str
    reliance: Reliance

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def asked(self) -> tuple[str, str, str, str]:
        """What makes numbers comparable between runs."""
        return self.data, self.test, self.masks, self.saliency


def load_reliance(path: Path) -> RelianceRecord:
    """What `Measured.to_dict` was written to `path`. Raises `UserError` naming a file that is damaged."""
    text = read_text(path, store.MAX_RECORD_BYTES)
    try:
        content = plain_values.from_json(text)
        found = RelianceRecord(**{**content, "reliance": Reliance(**content["reliance"])})
    except (ValueError, TypeError, KeyError):
        found = None
    if found is None or not _is_valid(found):
        raise UserError(f"{path} is not what cliptune background writes: remove it, and measure again")
    return found


def _is_valid(one: RelianceRecord) -> bool:
    """Whether a file's values are such as are measured."""
    said = one.reliance
    shares = (said.followed, said.area, *(v for v in (said.energy, said.pointing) if v is not None))
    return (
        all(isinstance(text, str) for text in (*one.asked, one.checkpoint))
        and all(map(store.is_count, (one.seed, said.pictures, said.blank)))
        and said.pictures > 0
        and all(map(store.is_finite, shares))
        and store.is_mapping_of(store.is_finite)(said.accuracy)
        and all(map(store.is_mapping_of(store.is_count), (said.lost, said.gained, said.left_out)))
        and set(CONDITIONS) <= said.accuracy.keys()
        and "swapped" in said.lost.keys() & said.gained.keys()
        and all(said.lost[name] + said.gained.get(name, 0) <= said.pictures for name in said.lost)
    )


def run_reliance(folder: Path) -> list[RelianceRecord]:
    """What is kept in a run's folder: of what was asked alike, the answer from the most pictures."""
    found: dict[tuple, RelianceRecord] = {}
    for one in (load_reliance(path) for path in sorted(folder.glob(f"{FILE_PREFIX}*.json"))):
        held = found.get(one.asked)
        if held is None or held.reliance.pictures < one.reliance.pictures:
            found[one.asked] = one
    return list(found.values())


@dataclass(frozen=True)
class RelianceTable:
    """Rows of label, number of runs and values by column of `CONDITIONS` and `MORE` in percent, None where there is
    none; `errors` of "drop", over pictures of one run, or None where several runs were averaged."""

    heading: tuple[str, str, str, str]
    pictures: tuple[int, ...]
    rows: tuple[tuple[str, int, Mapping[str, float | None]], ...]
    errors: Mapping[str, float | None] = field(default_factory=dict)


def tabulate_reliance(measured: Mapping[str, Sequence[RelianceRecord]]) -> list[RelianceTable]:
    """A table for all that was asked alike, a row for each label: means over its runs."""
    found = []
    for asked in dict.fromkeys(one.asked for runs in measured.values() for one in runs):
        rows, errors, pictures = [], dict[str, float | None](), set[int]()
        for label, runs in measured.items():
            alike = [one.reliance for one in runs if one.asked == asked]
            if not alike:
                continue
            pictures |= {one.pictures for one in alike}
            each = [_values(one) for one in alike]
            rows.append((label, len(alike), {name: _mean([values[name] for values in each]) for name in each[0]}))
            errors[label] = alike[0].drop("swapped")[1] if len(alike) == 1 else None
        found.append(RelianceTable(asked, tuple(sorted(pictures)), tuple(rows), errors))
    return found


def _values(one: Reliance) -> dict[str, float | None]:
    looked = {"energy": one.energy, "pointing": one.pointing, "area": one.area}
    accuracy = {name: one.accuracy[name] for name in CONDITIONS}
    return {**accuracy, "drop": one.drop("swapped")[0], "followed": one.followed, **looked}


def _mean(values: Sequence[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return sum(known) / len(known) if known else None
