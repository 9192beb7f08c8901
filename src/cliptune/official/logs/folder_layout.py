"""Folder layouts of the research code's scripts: the run that the path of a log identifies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SEED = r"seed(?P<seed>\d{1,18})$"
SHOTS = r"(?P<shots>-?\d{1,9})"
HEAD = r"(?:^|/)"
#: The layouts, the most specific first. `part` is the half of the classes, or "target" for tests on other data.
LAYOUTS = (
    (HEAD + rf"base2new/(?P<part>train_base|test_base|test_new)/(?P<data>[^/]+)/shots_{SHOTS}/")
    + r"(?P<trainer>[^/]+)/(?P<settings>.+)/"
    + SEED,
    HEAD + rf"(?P<part>evaluation)/(?P<trainer>[^/]+)/(?P<settings>[^/]+?)_{SHOTS}shots/(?:(?P<more>.+)/)?"
    r"(?P<data>[^/]+)/" + SEED,
    HEAD + rf"(?P<data>[^/]+)/(?P<trainer>[^/]+)/(?P<settings>[^/]+?)_{SHOTS}shots/(?:(?P<more>.+)/)?" + SEED,
    HEAD + r"(?P<trainer>ZeroshotCLIP2?)/(?P<settings>[^/]+)/(?P<data>[^/]+)$",
    HEAD + rf"(?P<data>[^/]+)/(?P<selector>[A-Za-z]\w*?)_(?P<fraction>0?\.\d+|1(?:\.0+)?)(?:_{SHOTS})?/" + SEED,
    HEAD + r"seed(?P<seed>\d{1,18})_(?P<data>.+)_3$",
)
PARTS = {"train_base": "base", "test_base": "base", "test_new": "new", "evaluation": "target"}
DAPT, DPL = LAYOUTS[4], LAYOUTS[5]
#: The number of shots that means all images. The research code uses any number below 1.
ALL_SHOTS = 0


@dataclass(frozen=True)
class LogLocation:
    """The settings of a run that a path contains; None or "" for the others.

    prefix: the path above the layout, which distinguishes experiments.
    """

    prefix: str = ""
    data: str | None = None
    trainer: str | None = None
    settings: str = ""
    shots: int | None = None
    seed: int | None = None
    part: str | None = None
    selector: str | None = None
    fraction: float | None = None


def parse_folder(folder: Path, root: Path) -> LogLocation | None:
    """Parse the path of a log's folder by the first layout that matches; None if none does.

    root: the folder that is imported; the path below it distinguishes experiments.
    """
    path = folder.resolve().as_posix()
    for layout in LAYOUTS:
        match = re.search(layout, path)
        if not match:
            continue
        groups = {key: value for key, value in match.groupdict().items() if value is not None}
        return LogLocation(
            prefix=_path_prefix(path[: match.start()], root, dapt=layout == DAPT),
            data=groups["data"],
            trainer=groups.get("trainer") or {DAPT: "DAPT", DPL: "DPL"}.get(layout),
            settings="/".join(groups[key] for key in ("settings", "more") if key in groups),
            shots=max(int(groups["shots"]), ALL_SHOTS) if "shots" in groups else None,
            seed=int(groups["seed"]) if "seed" in groups else None,
            part=PARTS.get(groups.get("part", "")),
            selector=groups.get("selector"),
            fraction=float(groups["fraction"]) if "fraction" in groups else None,
        )
    return None


def _path_prefix(path: str, root: Path, *, dapt: bool) -> str:
    """The part of a path below the root. DAPT's script writes tests to a folder NAME_test next to the training's."""
    top = root.resolve().as_posix()
    below = path.removeprefix(top).strip("/") if path.startswith(top) else ""
    return below.removesuffix("_test") if dapt else below
