"""What the folder of a log says: the layouts that the research code's scripts make."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SEED = r"seed(?P<seed>\d{1,18})$"
SHOTS = r"(?P<shots>-?\d{1,9})"
HEAD = r"(?:^|/)"
#: The layouts, the most telling first. `part` is the half of the classes, or "target" of a model trained elsewhere.
LAYOUTS = (
    (HEAD + rf"base2new/(?P<part>train_base|test_base|test_new)/(?P<data>[^/]+)/shots_{SHOTS}/")
    + r"(?P<trainer>[^/]+)/(?P<settings>.+)/"
    + SEED,
    HEAD + rf"(?P<part>evaluation)/(?P<trainer>[^/]+)/(?P<settings>[^/]+?)_{SHOTS}shots/(?:(?P<more>.+)/)?"
    r"(?P<data>[^/]+)/" + SEED,
    HEAD
    + r"(?P<data>[^/]+)/(?P<trainer>[^/]+)/(?P<settings>[^/]+?)_(?P<shots>-?\d{1,9})shots/(?:(?P<more>.+)/)?"
    + SEED,
    HEAD + r"(?P<trainer>ZeroshotCLIP2?)/(?P<settings>[^/]+)/(?P<data>[^/]+)$",
    HEAD
    + r"(?P<data>[^/]+)/(?P<selector>[A-Za-z]\w*?)_(?P<fraction>0?\.\d+|1(?:\.0+)?)(?:_(?P<shots>-?\d{1,9}))?/"
    + SEED,
    HEAD + r"seed(?P<seed>\d{1,18})_(?P<data>.+)_3$",
)
PARTS = {"train_base": "base", "test_base": "base", "test_new": "new", "evaluation": "target"}
DAPT, DPL = LAYOUTS[4], LAYOUTS[5]
#: Fewer images a class than 1 is how the research code says all.
ALL_SHOTS = 0


@dataclass(frozen=True)
class LogLocation:
    """What a folder says; None and "" where it does not. `before` is the path above the layout, which tells
    experiments apart."""

    before: str = ""
    data: str | None = None
    trainer: str | None = None
    settings: str = ""
    shots: int | None = None
    seed: int | None = None
    part: str | None = None
    selector: str | None = None
    fraction: float | None = None


def parse_folder(folder: Path, root: Path) -> LogLocation | None:
    """What the path of a log's folder says, as far as any layout fits; None where none does.

    root: the tree that is read, below which the path tells experiments apart.
    """
    path = folder.resolve().as_posix()
    for layout in LAYOUTS:
        found = re.search(layout, path)
        if not found:
            continue
        said = {key: value for key, value in found.groupdict().items() if value is not None}
        trainer = said.get("trainer") or {DAPT: "DAPT", DPL: "DPL"}.get(layout)
        fraction = said.get("fraction")
        shots = int(said["shots"]) if "shots" in said else None
        return LogLocation(
            before=_path_prefix(path[: found.start()], root, dapt=layout == DAPT),
            data=said["data"],
            trainer=trainer,
            settings="/".join(said[key] for key in ("settings", "more") if key in said),
            shots=None if shots is None else max(shots, ALL_SHOTS),
            seed=int(said["seed"]) if "seed" in said else None,
            part=PARTS.get(said.get("part", "")),
            selector=said.get("selector"),
            fraction=None if fraction is None else float(fraction),
        )
    return None


def _path_prefix(path: str, root: Path, *, dapt: bool) -> str:
    """The part of a path below the root; DAPT's script keeps tests beside trainings, in a folder called so."""
    top = root.resolve().as_posix()
    below = path.removeprefix(top).strip("/") if path.startswith(top) else ""
    return below.removesuffix("_test") if dapt else below
