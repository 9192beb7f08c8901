"""`cliptune data duplicates DATA`: exact and near duplicates across classes and splits."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console

from cliptune import checks
from cliptune.analysis.split_predictions import SEPARATOR
from cliptune.commands.flags import FLAT
from cliptune.commands.parse import parse, split_first
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.engine.progress import ProgressBar, progress_display
from cliptune.engine.watchers import progress_callback
from cliptune.results.row_tables import check_row_file, write_rows

if TYPE_CHECKING:
    from cliptune.data.similar_images import DuplicateGroup

COLUMNS = ("group", "kind", "path", "class", "split")


@dataclass(frozen=True)
class DataDuplicates:
    """Print groups of images that are the same, or nearly so: copies of other size, format, quality or brightness, and
    with narrow margins cut off. Groups across classes come first, then those in both training and test."""

    out: Path | None = None
    """Write all groups to this .csv, .jsonl or .parquet file, one row per image."""
    limit: int = 20
    """Number of groups printed."""
    reading: Annotated[DataConfig, FLAT] = field(default_factory=DataConfig)

    def __post_init__(self):
        checks.at_least(self, 0, "limit")


def data_duplicates(arguments: list[str]) -> None:
    """Search a dataset for duplicates and print them."""
    spec, rest = split_first(arguments, "the data", "data duplicates folder:photos", help_name="emoji")
    options = parse(DataDuplicates, "data duplicates DATA", rest)
    if options.out is not None:
        check_row_file(options.out)
    dataset = sources.get(spec, options.reading)
    from cliptune.data.similar_images import find_duplicates

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with progress_display(console) as progress:
        groups = find_duplicates(dataset, progress_callback([ProgressBar(progress, spec)], "reading images"))
    sys.stdout.write(f"{summary(groups)}\n")
    for group in groups[: options.limit]:
        sys.stdout.write(f"\n{describe(group)}\n")
        for image in group.images:
            name = image.path.encode(errors="replace").decode()
            sys.stdout.write(f"  {name} ({', '.join(image.classes)}; {image.split})\n")
    if len(groups) > options.limit:
        sys.stdout.write(f"\nand {len(groups) - options.limit} more; --limit or --out shows them\n")
    if options.out is not None:
        write_rows(options.out, COLUMNS, _rows(groups))
        console.print(f"{len(groups)} groups in {options.out}", markup=False)


def summary(groups: list[DuplicateGroup]) -> str:
    """The number of groups of each kind, in words."""
    if not groups:
        return "no duplicates found"
    exact = sum(group.kind == "exact" for group in groups)
    across, leaks = sum(group.several_classes for group in groups), sum(group.several_splits for group in groups)
    return (
        f"{exact} groups of exact and {len(groups) - exact} of near duplicates: {across} across classes, {leaks} in "
        f"both training and test"
    )


def describe(group: DuplicateGroup) -> str:
    """What is wrong with a group, in words."""
    flaws = (("several classes", group.several_classes), ("training and test", group.several_splits))
    return ", ".join([f"{group.kind} duplicates", *(words for words, holds in flaws if holds)]) + ":"


def _rows(groups: list[DuplicateGroup]) -> list[Mapping[str, Any]]:
    return [
        dict(zip(COLUMNS, (i, group.kind, image.path, SEPARATOR.join(image.classes), image.split), strict=True))
        for i, group in enumerate(groups, 1)
        for image in group.images
    ]
