"""Local paths that a run names: kept when it is saved, and found again once run or data have moved."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cliptune import methods
from cliptune.config import RunConfig
from cliptune.model.method import Method

#: What stands before a path in names of data and of mask sources.
DATA_KINDS, MASK_KINDS = ("folder", "csv", "json", "hub"), ("folder", "box", "seem")
#: Options that may follow a path, after a comma.
OPTIONS = ("config=", "revision=", "values=", "void=", "foreground=")
#: What restoring a model needs, and what its task reads.
MODEL_FIELDS, TASK_FIELDS = ("backbone", "pretrained"), ("data", "targets", "root", "draws")
#: From the name of a field and a path in it to the path in its place.
Change = Callable[[str, str], str]


def record_paths(run: RunConfig, folder: Path) -> dict[str, list[str]]:
    """The local paths that a run names and that exist: as it names them -> absolute, and relative to the run's
    `folder`."""
    found: dict[str, list[str]] = {}

    def keep(_: str, path: str) -> str:
        place = Path(path).expanduser().absolute()
        if place.exists():
            found[path] = [str(place)]
            try:
                found[path].append(os.path.relpath(place, folder.absolute()))
            except ValueError:  # on another drive
                pass
        return path

    _map_paths(run, keep)
    return found


def relocate_paths(run: RunConfig, kept: Any, folder: Path) -> RunConfig:
    """The run with its local paths where they are now, as what `told` kept of them says: at the same absolute place, or
    moved together with the run's `folder`; a path that means the same as ever, or that is nowhere, stays as it is."""

    def change(_: str, path: str) -> str:
        here, *others = candidate_paths(path, kept, folder)
        there = next((place for place in others if place.exists()), None)
        return path if there is None or (here.exists() and here.samefile(there)) else str(there)

    return _map_paths(run, change)


def missing_path_error(run: RunConfig, fields: Collection[str], kept: Any, folder: Path) -> str:
    """The sentence about a path in some `fields` of a run that is nowhere, naming every place tried; "" where nothing
    is missing."""
    lost: list[tuple[str, list[Path]]] = []

    def look(field: str, path: str) -> str:
        places = candidate_paths(path, kept, folder)
        if field in fields and len(places) > 1 and not any(place.exists() for place in places):
            lost.append((path, list(dict.fromkeys(places[1:] + places[:1]))))
        return path

    _map_paths(run, look)
    if not lost:
        return ""
    (path, places), *_ = lost
    return (
        f"the run in {folder} names {path}, which is not there any more: looked for {' and '.join(map(str, places))}; "
        f"move it back, or name another"
    )


def candidate_paths(path: str, kept: Any, folder: Path) -> list[Path]:
    """Where a path may be: as it is named, then as it was `kept`, absolute and relative to the run's `folder`."""
    places = kept.get(path, ()) if isinstance(kept, Mapping) else ()
    places = [place for place in places if isinstance(place, str)] if isinstance(places, (list, tuple)) else []
    joined = [Path(os.path.normpath(folder.absolute() / place)) for place in places]
    return [Path(path).expanduser().absolute(), *joined]


def _map_paths(run: RunConfig, change: Change) -> RunConfig:
    """The run with each local path that it names changed."""
    reading = {name: change(name, path) for name in ("root", "draws") if (path := getattr(run.reading, name))}
    weights = Path(run.pretrained).suffix or os.sep in run.pretrained  # else it is a tag
    return dataclasses.replace(
        run,
        method=_map_mask_paths(run.method, change),
        data=_map_spec(run.data, DATA_KINDS, partial(change, "data")),
        targets=tuple(_map_spec(target, DATA_KINDS, partial(change, "targets")) for target in run.targets),
        backbone=change("backbone", run.backbone) if run.backbone != "tiny" else run.backbone,
        pretrained=change("pretrained", run.pretrained) if weights else run.pretrained,
        reading=dataclasses.replace(run.reading, **reading),
    )


def _map_mask_paths(method: Method, change: Change) -> Method:
    """The method with the paths of its mask sources changed, and those of the methods inside."""
    fields: dict[str, Any] = {}
    if methods.is_wrapper(type(method)):
        fields["base"] = _map_mask_paths(method.base, change)  # type: ignore[attr-defined]
    if isinstance(spec := getattr(method, "masks_from", None), str):
        fields["masks_from"] = _map_spec(spec, MASK_KINDS, partial(change, "masks_from"))
    fields = {name: value for name, value in fields.items() if value != getattr(method, name)}
    return dataclasses.replace(method, **fields) if fields else method  # type: ignore[type-var]


def _map_spec(spec: str, kinds: tuple[str, ...], change: Callable[[str], str]) -> str:
    """`KIND:PATH`, and options after it, with the path changed; anything else as it is."""
    kind, colon, path = spec.partition(":")
    if not colon or kind not in kinds or not path:
        return spec
    options = ""
    while (comma := path.rfind(",")) >= 0 and path[comma + 1 :].strip().startswith(OPTIONS):
        path, options = path[:comma], path[comma:] + options
    return f"{kind}:{change(path)}{options}"
