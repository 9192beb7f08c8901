"""Local paths in a configuration: record them with a run, and find them again after the run or its data moved."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cliptune import methods
from cliptune.backbones.bundled import BUNDLED
from cliptune.config import RunConfig
from cliptune.model.method import OWN_BACKBONE, Method

#: Prefixes of a path in specs of data and of mask sources.
DATA_KINDS, MASK_KINDS = ("folder", "csv", "json", "hub"), ("folder", "box", "seem")
#: Options that may follow a path, after a comma.
OPTIONS = ("config=", "revision=", "values=", "void=", "foreground=")
#: Fields with the paths that a model needs, and those that its task reads.
MODEL_FIELDS, TASK_FIELDS = ("backbone", "pretrained"), ("data", "targets", "root", "draws")
#: Maps the name of a field and a path in it to the path that replaces it.
MapPath = Callable[[str, str], str]


def named_paths(run: RunConfig) -> list[tuple[str, str]]:
    """The name of the field and the path as named, for each local path of a run, whether it exists or not."""
    found: list[tuple[str, str]] = []

    def keep(field: str, path: str) -> str:
        found.append((field, path))
        return path

    _map_paths(run, keep)
    return found


def record_paths(run: RunConfig, folder: Path) -> dict[str, list[str]]:
    """The existing local paths that a run names: path as named -> [absolute path, path relative to the run directory].

    folder: the run directory.
    """
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


def relocate_paths(run: RunConfig, recorded: Any, folder: Path) -> RunConfig:
    """The run with paths replaced by where they exist now: at the same absolute path, or moved with the run directory.

    recorded: the output of `record_paths`, as read from a file. folder: the run directory. A path that is still valid
    as named, or that exists nowhere, is unchanged.
    """

    def change(_: str, path: str) -> str:
        here, *others = candidate_paths(path, recorded, folder)
        there = next((place for place in others if place.exists()), None)
        return path if there is None or (here.exists() and here.samefile(there)) else str(there)

    return _map_paths(run, change)


def missing_path_error(run: RunConfig, fields: Collection[str], recorded: Any, folder: Path) -> str:
    """A message about a path in one of the `fields` that exists nowhere, naming every path tried; else ""."""
    missing: list[tuple[str, list[Path]]] = []

    def look(field: str, path: str) -> str:
        places = candidate_paths(path, recorded, folder)
        if field in fields and len(places) > 1 and not any(place.exists() for place in places):
            missing.append((path, list(dict.fromkeys(places[1:] + places[:1]))))
        return path

    _map_paths(run, look)
    if not missing:
        return ""
    (path, places), *_ = missing
    return (
        f"the run in {folder} uses {path}, which no longer exists: looked for {' and '.join(map(str, places))}; "
        f"move it back, or name another"
    )


def candidate_paths(path: str, recorded: Any, folder: Path) -> list[Path]:
    """Where a path may be: as named, then at the recorded absolute path and relative to the run directory."""
    places = recorded.get(path, ()) if isinstance(recorded, Mapping) else ()
    places = [place for place in places if isinstance(place, str)] if isinstance(places, (list, tuple)) else []
    joined = [Path(os.path.normpath(folder.absolute() / place)) for place in places]
    return [Path(path).expanduser().absolute(), *joined]


def _map_paths(run: RunConfig, change: MapPath) -> RunConfig:
    """The run with `change` applied to each local path."""
    reading = {name: change(name, path) for name in ("root", "draws") if (path := getattr(run.reading, name))}
    weights = Path(run.pretrained).suffix or os.sep in run.pretrained  # else it is a tag
    return dataclasses.replace(
        run,
        method=_map_method_paths(run.method, change),
        data=_map_spec(run.data, DATA_KINDS, partial(change, "data")),
        targets=tuple(_map_spec(target, DATA_KINDS, partial(change, "targets")) for target in run.targets),
        backbone=run.backbone if run.backbone in BUNDLED else change("backbone", run.backbone),
        pretrained=change("pretrained", run.pretrained) if weights else run.pretrained,
        reading=dataclasses.replace(run.reading, **reading),
    )


def _map_method_paths(method: Method, change: MapPath) -> Method:
    """The method with `change` applied to the paths of its masks, its teacher, its descriptions and of its bases."""
    fields: dict[str, Any] = {}
    if methods.is_wrapper(type(method)):
        fields["base"] = _map_method_paths(method.base, change)  # type: ignore[attr-defined]
    if isinstance(spec := getattr(method, "masks_from", None), str):
        fields["masks_from"] = _map_spec(spec, MASK_KINDS, partial(change, "masks_from"))
    teacher = getattr(method, "teacher", None)  # names of backbones are unchanged, as no such path was recorded
    if isinstance(teacher, str) and teacher not in (OWN_BACKBONE, *BUNDLED):  # no paths, even if a folder has that name
        fields["teacher"] = change("teacher", teacher)
    descriptions = getattr(method, "descriptions", None)
    if isinstance(descriptions, str) and descriptions:
        fields["descriptions"] = change("descriptions", descriptions)
    fields = {name: value for name, value in fields.items() if value != getattr(method, name)}
    return dataclasses.replace(method, **fields) if fields else method  # type: ignore[type-var]


def _map_spec(spec: str, kinds: tuple[str, ...], change: Callable[[str], str]) -> str:
    """The spec `KIND:PATH`, possibly followed by options, with `change` applied to the path; other specs unchanged."""
    kind, colon, path = spec.partition(":")
    if not colon or kind not in kinds or not path:
        return spec
    options = ""
    while (comma := path.rfind(",")) >= 0 and path[comma + 1 :].strip().startswith(OPTIONS):
        path, options = path[:comma], path[comma:] + options
    return f"{kind}:{change(path)}{options}"
