"""What is on disk of the public datasets, and what to do about what is not."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cliptune.data import inventory, lacking, misplaced, sources, split_file, spot_check
from cliptune.data.card import Card, Place, find_split
from cliptune.data.dataset import Dataset
from cliptune.data.misplaced import quoted
from cliptune.data.reports import Pictures, Report, Status, Survey
from cliptune.data.split_dataset import SplitDataset
from cliptune.errors import UserError


def survey(root: str | Path, names: Sequence[str] = (), kinds: Mapping[str, type[Dataset]] | None = None) -> Survey:
    """Reports on the public datasets called `names`, all by default, under `root`.

    kinds: name -> a Dataset class with a card; by default those of `sources`. Raises `UserError` for a root that is no
    folder or may not be listed, and for names that are no public dataset.
    """
    root = folder(root)
    kinds = kinds or {name: sources.kind(name) for name in sources.cards()}
    for name in names:
        if name not in kinds:
            close = difflib.get_close_matches(name, kinds, n=2, cutoff=0.4)
            raise UserError(f"no public dataset {name!r}; nearest: {', '.join(close or kinds)}")
    cards = [kind.card for kind in kinds.values()]  # type: ignore[attr-defined]
    reports = tuple(check(kinds[name], root, cards) for name in names or kinds)
    nothing = all(report.status == "absent" for report in reports)
    return Survey(root, reports, misplaced.other_root(root, cards) if nothing else "")


def folder(root: str | Path) -> Path:
    """`root` as an absolute path. Raises `UserError` where it is no folder, with the nearest one."""
    path = Path(root).expanduser().absolute()
    try:
        with os.scandir(path):
            return path
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(misplaced.nearest(path)) from None
    except OSError as error:
        raise UserError(f"cannot look into {path} ({error.strerror}); check its permissions") from None


def check(kind: type[Dataset], root: Path, cards: Sequence[Card] = (), *, opened: bool = True) -> Report:
    """The report on one public dataset under `root`.

    cards: of all datasets, whose archives are told apart by name. opened: look into some of the files.
    """
    card: Card = kind.card  # type: ignore[attr-defined]
    try:
        return _check(card, kind, root, cards or [card], opened)
    except OSError as error:
        place = error.filename or root
        fix = f"cannot look into {place} ({error.strerror}); check its permissions: ls -ld {place}"
        return Report(card.name, card.title, "unreadable", fix)


def _check(card: Card, kind: type[Dataset], root: Path, cards: Sequence[Card], opened: bool) -> Report:
    layout = next((x for x in card.layouts if (root / x.tell).is_dir()), None)
    file = find_split(card, root)
    archive = lacking.packed(card, root, cards)
    get = f"cliptune data download {card.name} --root {quoted(root)}"
    if layout is None:
        moved = misplaced.move(card, root, _sample(file or misplaced.split(card, root), root))
        if moved:
            return Report(card.name, card.title, "wrong layout", moved)
        half = next((x for x in card.layouts if x.home and (root / x.home).is_dir()), None)
        if half is None and not archive:
            return Report(card.name, card.title, "absent", get)
        fix = archive or f"{root / half.tell if half else root} with the pictures is missing: {get}"
        home, none = root / half.home if half else None, Pictures(sum(card.counts), 0)
        return Report(card.name, card.title, "incomplete", fix, home=home, pictures=none)
    place = Place(layout, root / layout.home, root / layout.home / layout.images, file)
    split, broken = inventory.split(card, file), spot_check.look(place.images, place.home) if opened else ""

    def report(status: Status, fix: str = "", **more) -> Report:
        if broken:
            more["notes"] = (*more.get("notes", ()), *((fix,) if fix else ()))
            status, fix = "incomplete" if status == "ready" else status, broken
        return Report(card.name, card.title, status, fix, layout.kind, place.home, split=split, **more)

    lists = [] if file or not card.split else [card.split]
    lists += [name for name in card.lists if not (place.home / name).is_file()]
    if lists:
        keys = _sample(file or misplaced.split(card, root), root)
        moved = misplaced.move(card, root, keys) if keys else ""
        if moved:
            return report("wrong layout", moved)
        fix = f"put {', '.join(lists)} into {place.home}" + (f" ({card.source})" if card.source else "")
        return report("no split", fix, notes=(f"{inventory.count(place.images):,} picture files are there",))
    try:
        found = inventory.take(kind, place, root)
    except UserError as error:
        if isinstance(error.__context__, PermissionError):
            return report("unreadable", str(error))
        if issubclass(kind, SplitDataset):
            return report("no split", str(error))
        pictures = Pictures(sum(card.counts), min(inventory.count(place.images), sum(card.counts)))
        return report("incomplete", archive or str(error), pictures=pictures)
    notes = (f"not the published split ({'; '.join(found.other)}): numbers do not compare",) if found.other else ()
    notes += found.notes
    if found.pictures.found >= found.pictures.expected:
        return report("ready", pictures=found.pictures, masks=found.masks, notes=notes)
    moved = "" if found.pictures.found else misplaced.move(card, root, _sample(file, root))
    folders = lacking.folders(place.images, found.gone)
    return report(
        "wrong layout" if moved else "incomplete",
        moved or archive or lacking.other_case(place.images, found.gone) or f"copy the rest, or fetch it: {get}",
        pictures=found.pictures,
        masks=found.masks,
        notes=(*notes, folders) if folders else notes,
    )


def _sample(file: Path | None, root: Path) -> list[str]:
    """Some relative paths of a split file, from all over it."""
    try:
        examples = [e for part in split_file.read(file, root)[1].values() for e in part] if file else []
    except UserError:
        return []
    return [e.key for e in examples[:: max(1, len(examples) // 20)]]
