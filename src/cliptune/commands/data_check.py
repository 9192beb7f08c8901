"""`cliptune data check ROOT [NAMES...]`: check a folder of public datasets."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from tyro.conf import Positional

from cliptune.commands.parse import parse
from cliptune.data.config import ROOT_VARIABLE
from cliptune.data.public.doctor.check import check_datasets
from cliptune.data.public.doctor.status import DatasetStatus, RootStatus
from cliptune.errors import UserError

#: Missing images named in the text output.
MAX_SHOWN = 3


@dataclass(frozen=True)
class DataCheck:
    """Check a folder of public datasets: what is ready, what is missing, and the command that fixes it. Exit code 0 if
    everything is ready, 1 if not, 2 if there is nothing to check."""

    root_and_names: Positional[tuple[str, ...]] = ()
    """ROOT, the folder that contains the datasets, then names of datasets; by default all that are at least partly
    there."""
    root: str = ""
    """ROOT, if it is not the first argument; by default the environment variable CLIPTUNE_DATA."""
    format: Literal["text", "json"] = "text"
    """json: {"root", "fix", "datasets": {NAME: {"status", "fix", "layout", "home", "pictures": {"expected", "found",
    "missing": [the first 20]}, "split": {"file", "sha256", "known"}, "masks": {"folder", "expected", "found"},
    "notes"}}}; missing values are null."""


def data_check(arguments: list[str]) -> None:
    """Print the state of each dataset and what to do."""
    options = parse(DataCheck, "data check", arguments)
    root, names = _root(options)
    with Console(stderr=True).status(f"checking {root}"):
        found = check_datasets(root, names)
    if options.format == "json":
        sys.stdout.write(json.dumps(as_dict(found), indent=2, ensure_ascii=False) + "\n")
    asked = [report for report in found.reports if names or report.status != "absent"]
    if not asked:
        raise UserError(found.fix or f"no public dataset is in {found.root}")
    if options.format == "text":
        for line in status_lines(found, asked):
            sys.stdout.write(line + "\n")
    if any(report.status != "ready" for report in asked):
        sys.exit(1)


def status_lines(found: RootStatus, asked: Sequence[DatasetStatus]) -> list[str]:
    """Lines about each of the `asked` datasets, then the names of the others."""
    width = max(len(report.name) for report in asked)
    lines = []
    for report in asked:
        lines.append(f"{report.name:<{width}}  {report.status:<12}  {_facts(report)}".rstrip())
        lines += [f"{'':<{width}}  {line}" for line in _details(report)]
    if found.fix:
        lines.append(found.fix)
    rest = [report.name for report in found.reports if report not in asked]
    if rest:
        get = f"cliptune data download NAME --root {found.root}"
        lines.append(f"not found: {', '.join(rest)} ({get})")
    return lines


def as_dict(found: RootStatus) -> dict[str, Any]:
    """The content of `--format json`."""
    return {"root": str(found.root), "fix": found.fix, "datasets": {r.name: _record(r) for r in found.reports}}


def _root(options: DataCheck) -> tuple[str, tuple[str, ...]]:
    if options.root:
        return options.root, options.root_and_names
    if options.root_and_names:
        return options.root_and_names[0], options.root_and_names[1:]
    if os.environ.get(ROOT_VARIABLE):
        return os.environ[ROOT_VARIABLE], ()
    raise UserError(f"the root folder of the datasets is not set: use cliptune data check ROOT, or set {ROOT_VARIABLE}")


def _facts(report: DatasetStatus) -> str:
    facts = []
    if report.pictures is not None:
        expected, count = report.pictures.expected, report.pictures.found
        facts.append(f"{count:,} images" if count == expected else f"{count:,} of {expected:,} images")
    if report.layout:
        facts.append(f"{report.layout} layout in {report.home}")
    if report.split is not None:
        facts.append({True: "published split", False: "a different split", None: "split"}[report.split.known])
    if report.masks is not None:
        facts.append(f"masks of {report.masks.found:,} of {report.masks.expected:,} training images")
    return ", ".join(facts)


def _details(report: DatasetStatus) -> list[str]:
    lines = []
    if report.pictures is not None and report.pictures.missing:
        count = report.pictures.expected - report.pictures.found
        names = ", ".join(report.pictures.missing[:MAX_SHOWN])
        lines.append(f"missing: {names}{f' and {count - MAX_SHOWN:,} more' if count > MAX_SHOWN else ''}")
    lines += report.notes
    return [*lines, f"fix: {report.fix}"] if report.fix else lines


def _record(report: DatasetStatus) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        match value:
            case Path():
                return str(value)
            case tuple():
                return list(value)
            case None | str() | int():
                return value
        return {name: plain(inner) for name, inner in vars(value).items()}

    return {name: plain(value) for name, value in vars(report).items() if name not in ("name", "title")}
