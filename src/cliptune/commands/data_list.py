"""`cliptune data list`: every source of pictures, a line each. `cliptune list data` says the same."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cliptune.commands.parse import parse
from cliptune.data import sources
from cliptune.data.config import ROOT_VARIABLE, DataConfig
from cliptune.data.public.common.spec import DatasetSpec, locate
from cliptune.errors import UserError


@dataclass(frozen=True)
class DataList:
    """Every source of pictures; of public datasets also classes, pictures for train / val / test, and whether they are
    on your disk."""

    root: str = ""
    """Folder that holds the public datasets; left empty, the environment variable CLIPTUNE_DATA, or no look at the
    disk."""
    format: Literal["text", "json"] = "text"
    """json: a list of {name, about, title, classes, train, val, test, there}; what is not known is null."""


def data_list(arguments: list[str]) -> None:
    """Print the sources."""
    options = parse(DataList, "data list", arguments)
    if options.format == "json":
        sys.stdout.write(json.dumps(known(options.root), indent=2, ensure_ascii=False) + "\n")
        return
    for line in as_lines(options.root):
        sys.stdout.write(line + "\n")


def as_lines(root: str = "") -> list[str]:
    """A head and a line for each source."""
    rows = known(root)
    looked = any(row["there"] is not None for row in rows)
    head = f"{'data':<16}{'classes':>8}{'train':>11}{'val':>8}{'test':>8}  " + ("there   " * looked) + "what it is"
    return [head, *(_line(row, looked) for row in rows)]


def known(root: str = "") -> list[dict[str, Any]]:
    """A record of each source, what needs no root first. Raises `UserError` for a root that is none."""
    folder = DataConfig(root=root).folder("data list") if root or os.environ.get(ROOT_VARIABLE) else None
    rows = []
    for name in sources.names():
        about = (sys.modules[sources.dataset_class(name).__module__].__doc__ or "").strip().splitlines()[0]
        row: dict[str, Any] = {"name": name, "about": about, **dict.fromkeys(("title", "classes"))}
        row |= dict.fromkeys(("train", "val", "test", "there"))
        card = sources.public_specs().get(name)
        if card is not None:
            row |= {"title": card.title, "classes": card.classes}
            row |= dict(zip(("train", "val", "test"), card.counts, strict=True))
            row["there"] = None if folder is None else _there(card, folder)
        rows.append(row)
    return sorted(rows, key=lambda row: row["title"] is not None)


def _there(card: DatasetSpec, root: Path) -> bool:
    try:
        return bool(locate(card, root))
    except UserError:
        return False


def _line(row: dict[str, Any], looked: bool) -> str:
    def number(key: str, width: int) -> str:
        return f"{'' if row[key] is None else format(row[key], ','):>{width}}"

    there = {True: "yes", False: "no", None: ""}[row["there"]]
    sizes = number("classes", 8) + number("train", 11) + number("val", 8) + number("test", 8)
    return f"{row['name']:<16}{sizes}  " + (f"{there:<8}" * looked) + row["about"]
