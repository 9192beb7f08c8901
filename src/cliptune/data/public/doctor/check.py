"""What is on disk of the public datasets, and what to do about what is not."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cliptune.data import sources
from cliptune.data.dataset import Dataset
from cliptune.data.public.common import split_file
from cliptune.data.public.common.spec import DatasetLocation, DatasetSpec, find_split
from cliptune.data.public.common.split_dataset import SplitDataset
from cliptune.data.public.doctor import completeness, layouts, missing, spot_check
from cliptune.data.public.doctor.layouts import shell_command
from cliptune.data.public.doctor.status import Condition, DatasetStatus, ImageCount, RootStatus
from cliptune.errors import UserError


def check_datasets(
    root: str | Path, names: Sequence[str] = (), kinds: Mapping[str, type[Dataset]] | None = None
) -> RootStatus:
    """Reports on the public datasets called `names`, all by default, under `root`.

    kinds: name -> a Dataset class with a card; by default those of `sources`. Raises `UserError` for a root that is no
    folder or may not be listed, and for names that are no public dataset.
    """
    root = existing_root(root)
    kinds = kinds or {name: sources.dataset_class(name) for name in sources.public_specs()}
    for name in names:
        if name not in kinds:
            close = difflib.get_close_matches(name, kinds, n=2, cutoff=0.4)
            raise UserError(f"no public dataset {name!r}; nearest: {', '.join(close or kinds)}")
    cards = [kind.card for kind in kinds.values()]  # type: ignore[attr-defined]
    reports = tuple(check_dataset(kinds[name], root, cards) for name in names or kinds)
    nothing = all(report.status == "absent" for report in reports)
    return RootStatus(root, reports, layouts.suggest_root(root, cards) if nothing else "")


def existing_root(root: str | Path) -> Path:
    """`root` as an absolute path. Raises `UserError` where it is no folder, with the nearest one."""
    path = Path(root).expanduser().absolute()
    try:
        with os.scandir(path):
            return path
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(layouts.suggest_folder(path)) from None
    except OSError as error:
        raise UserError(f"cannot look into {path} ({error.strerror}); check its permissions") from None


def check_dataset(
    kind: type[Dataset], root: Path, cards: Sequence[DatasetSpec] = (), *, opened: bool = True
) -> DatasetStatus:
    """The report on one public dataset under `root`.

    cards: of all datasets, whose archives are told apart by name. opened: look into some of the files.
    """
    card: DatasetSpec = kind.card  # type: ignore[attr-defined]
    try:
        return _check(card, kind, root, cards or [card], opened)
    except OSError as error:
        place = error.filename or root
        fix = f"cannot look into {place} ({error.strerror}); check its permissions: ls -ld {place}"
        return DatasetStatus(card.name, card.title, "unreadable", fix)


def _check(
    card: DatasetSpec, kind: type[Dataset], root: Path, cards: Sequence[DatasetSpec], opened: bool
) -> DatasetStatus:
    layout = next((x for x in card.layouts if (root / x.tell).is_dir()), None)
    file = find_split(card, root)
    archive = missing.suggest_unpack(card, root, cards)
    get = f"cliptune data download {card.name} --root {shell_command(root)}"
    if layout is None:
        moved = layouts.suggest_move(card, root, _sample(file or layouts.find_split_elsewhere(card, root), root))
        if moved:
            return DatasetStatus(card.name, card.title, "wrong layout", moved)
        half = next((x for x in card.layouts if x.home and (root / x.home).is_dir()), None)
        if half is None and not archive:
            return DatasetStatus(card.name, card.title, "absent", get)
        fix = archive or f"{root / half.tell if half else root} with the pictures is missing: {get}"
        home, none = root / half.home if half else None, ImageCount(sum(card.counts), 0)
        return DatasetStatus(card.name, card.title, "incomplete", fix, home=home, pictures=none)
    place = DatasetLocation(layout, root / layout.home, root / layout.home / layout.images, file)
    split, broken = (
        completeness.split_status(card, file),
        spot_check.check_sample(place.images, place.home) if opened else "",
    )

    def report(status: Condition, fix: str = "", **more) -> DatasetStatus:
        if broken:
            more["notes"] = (*more.get("notes", ()), *((fix,) if fix else ()))
            status, fix = "incomplete" if status == "ready" else status, broken
        return DatasetStatus(card.name, card.title, status, fix, layout.kind, place.home, split=split, **more)

    lists = [] if file or not card.split else [card.split]
    lists += [name for name in card.lists if not (place.home / name).is_file()]
    if lists:
        keys = _sample(file or layouts.find_split_elsewhere(card, root), root)
        moved = layouts.suggest_move(card, root, keys) if keys else ""
        if moved:
            return report("wrong layout", moved)
        fix = f"put {', '.join(lists)} into {place.home}" + (f" ({card.source})" if card.source else "")
        return report("no split", fix, notes=(f"{completeness.count_images(place.images):,} picture files are there",))
    try:
        found = completeness.count_files(kind, place, root)
    except UserError as error:
        if isinstance(error.__context__, PermissionError):
            return report("unreadable", str(error))
        if issubclass(kind, SplitDataset):
            return report("no split", str(error))
        pictures = ImageCount(sum(card.counts), min(completeness.count_images(place.images), sum(card.counts)))
        return report("incomplete", archive or str(error), pictures=pictures)
    notes = (f"not the published split ({'; '.join(found.other)}): numbers do not compare",) if found.other else ()
    notes += found.notes
    if found.pictures.found >= found.pictures.expected:
        return report("ready", pictures=found.pictures, masks=found.masks, notes=notes)
    moved = "" if found.pictures.found else layouts.suggest_move(card, root, _sample(file, root))
    folders = missing.missing_folders(place.images, found.gone)
    return report(
        "wrong layout" if moved else "incomplete",
        moved or archive or missing.suggest_case_fix(place.images, found.gone) or f"copy the rest, or fetch it: {get}",
        pictures=found.pictures,
        masks=found.masks,
        notes=(*notes, folders) if folders else notes,
    )


def _sample(file: Path | None, root: Path) -> list[str]:
    """Some relative paths of a split file, from all over it."""
    try:
        examples = [e for part in split_file.read_split_file(file, root)[1].values() for e in part] if file else []
    except UserError:
        return []
    return [e.key for e in examples[:: max(1, len(examples) // 20)]]
