"""`cliptune data list`, also `cliptune list data`: all datasets, one per line."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cliptune.commands.parse import parse
from cliptune.data import public, sources
from cliptune.data.config import ROOT_VARIABLE, DataConfig
from cliptune.data.public.common.spec import DatasetSpec, locate
from cliptune.errors import UserError


@dataclass(frozen=True)
class DataList:
    """List all datasets, with the number of classes and train / val / test images of public ones, and whether these are
    on disk."""

    root: str = ""
    """Folder that contains the public datasets; by default the environment variable CLIPTUNE_DATA. Without
    either, the disk is not searched."""
    format: Literal["text", "json"] = "text"
    """json: a list of {name, about, title, classes, train, val, test, there}; unknown values are null."""


def data_list(arguments: list[str]) -> None:
    """Print all datasets."""
    options = parse(DataList, "data list", arguments)
    if options.format == "json":
        sys.stdout.write(json.dumps(known(options.root), indent=2, ensure_ascii=False) + "\n")
        return
    for line in dataset_lines(options.root):
        sys.stdout.write(line + "\n")


def dataset_lines(root: str = "") -> list[str]:
    """A header and one line per dataset."""
    rows = known(root)
    searched = any(row["there"] is not None for row in rows)
    head = f"{'data':<16}{'classes':>8}{'train':>11}{'val':>8}{'test':>8}  " + ("there   " * searched) + "what it is"
    return [head, *(_line(row, searched) for row in rows)]


def known(root: str = "") -> list[dict[str, Any]]:
    """One record per dataset, those that need no root first. Raises `UserError` if the root is not a folder."""
    folder = DataConfig(root=root).folder("data list") if root or os.environ.get(ROOT_VARIABLE) else None
    rows, specs = [], public.specs()
    for name in sources.names():
        about = (sys.modules[sources.dataset_class(name).__module__].__doc__ or "").strip().splitlines()[0]
        row: dict[str, Any] = {"name": name, "about": about, **dict.fromkeys(("title", "classes"))}
        row |= dict.fromkeys(("train", "val", "test", "there"))
        spec = specs.get(name)
        if spec is not None:
            row |= {"title": spec.title, "classes": spec.num_classes}
            row |= dict(zip(("train", "val", "test"), spec.split_sizes, strict=True))
            row["there"] = None if folder is None else _is_there(spec, folder)
        rows.append(row)
    return sorted(rows, key=lambda row: row["title"] is not None)


def _is_there(spec: DatasetSpec, root: Path) -> bool:
    try:
        return bool(locate(spec, root))
    except UserError:
        return False


def _line(row: dict[str, Any], searched: bool) -> str:
    def number(key: str, width: int) -> str:
        return f"{'' if row[key] is None else format(row[key], ','):>{width}}"

    there = {True: "yes", False: "no", None: ""}[row["there"]]
    sizes = number("classes", 8) + number("train", 11) + number("val", 8) + number("test", 8)
    return f"{row['name']:<16}{sizes}  " + (f"{there:<8}" * searched) + row["about"]
