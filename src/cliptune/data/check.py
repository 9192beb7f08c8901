"""What is on disk of the public datasets, and what to do about what is not."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from cliptune.data import lacking, misplaced, sources, split_file
from cliptune.data.card import Card, Place, differences, find_split, fingerprint
from cliptune.data.dataset import Dataset
from cliptune.data.misplaced import quoted
from cliptune.data.pictures import SUFFIXES
from cliptune.data.present import missing
from cliptune.data.reports import Masks, Pictures, Report, Split, Status, Survey
from cliptune.data.settings import Reading
from cliptune.data.split_dataset import SplitDataset
from cliptune.errors import UserError
from cliptune.types import Example

#: Missing pictures that are named.
NAMED = 20


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


def check(kind: type[Dataset], root: Path, cards: Sequence[Card] = ()) -> Report:
    """The report on one public dataset under `root`. cards: of all datasets, whose archives are told apart by name."""
    card: Card = kind.card  # type: ignore[attr-defined]
    try:
        return _check(card, kind, root, cards or [card])
    except OSError as error:
        place = error.filename or root
        fix = f"cannot look into {place} ({error.strerror}); check its permissions: ls -ld {place}"
        return Report(card.name, card.title, "unreadable", fix)


def _check(card: Card, kind: type[Dataset], root: Path, cards: Sequence[Card]) -> Report:
    layout = next((x for x in card.layouts if (root / x.home / x.images).is_dir()), None)
    file = find_split(card, root)
    archive = lacking.packed(card, root, cards)
    get = f"cliptune data download {card.name} --root {quoted(root)}"
    if layout is None:
        moved = misplaced.move(card, root, _sample(file, root))
        if moved:
            return Report(card.name, card.title, "wrong layout", moved)
        home = next((root / x.home for x in card.layouts if x.home and (root / x.home).is_dir()), None)
        if home is None:
            return Report(card.name, card.title, "absent", archive or get)
        wanted = home / next(x.images for x in card.layouts if root / x.home == home)
        fix = archive or f"{wanted} with the pictures is missing: {get}"
        return Report(card.name, card.title, "incomplete", fix, home=home, pictures=Pictures(sum(card.counts), 0))
    place = Place(layout, root / layout.home, root / layout.home / layout.images, file)
    split = _split(card, file)

    def report(status: Status, fix: str = "", **more) -> Report:
        return Report(card.name, card.title, status, fix, layout.kind, place.home, split=split, **more)

    absent = [name for name in ((card.split,) if not file else ()) + card.lists if not (place.home / name).is_file()]
    if card.split and not file or absent:
        fix = f"put {', '.join(absent)} into {place.home}" + (f" ({card.source})" if card.source else "")
        return report("no split", fix, notes=(f"{_count(place.images):,} picture files are in {place.images}",))
    try:
        names, parts = _listed(kind, place, root)
    except UserError as error:
        return report("no split" if file else "incomplete", archive or str(error))
    keys = list(dict.fromkeys(_key(e.path, place.images) for examples in parts.values() for e in examples))
    gone = missing(place.images, keys)
    other = differences(card, file, names, tuple(len(examples) for examples in parts.values()))
    expected = len(keys) if file else max(len(keys), _distinct(card.counts, parts))
    pictures = Pictures(expected, len(keys) - len(gone), tuple(gone[:NAMED]))
    more = {
        "pictures": pictures,
        "masks": _masks(card, place, [e.path for e in parts["train"]]),
        "notes": (f"not the published split ({'; '.join(other)}): numbers do not compare",) if other and file else (),
    }
    if pictures.found == pictures.expected:
        return report("ready", **more)
    moved = "" if pictures.found else misplaced.move(card, root, _sample(file, root))
    if moved:
        return report("wrong layout", moved, **more)
    renamed = lacking.other_case(place.images, gone)
    causes = [archive or renamed, lacking.folders(place.images, gone)]
    return report("incomplete", "; ".join(filter(None, [*causes, "" if archive or renamed else get])), **more)


def _split(card: Card, file: Path | None) -> Split | None:
    if file is None:
        return None
    sha = fingerprint(file.read_bytes())
    return Split(file, sha, sha == card.split_print if card.split_print else None)


def _listed(kind: type[Dataset], place: Place, root: Path) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
    """Class names and parts, of files that need not be there where the dataset can say so."""
    if issubclass(kind, SplitDataset):
        return kind.listed(place)
    with warnings.catch_warnings(action="ignore"):
        dataset = kind.from_spec("", Reading(root=str(root)))
    return dataset.classnames, {part: dataset.examples(part) for part in ("train", "val", "test")}


def _sample(file: Path | None, root: Path) -> list[str]:
    """Some relative paths of a split file."""
    try:
        examples = split_file.read(file, root)[1]["train"] if file else []
    except UserError:
        return []
    return [e.key for e in examples[:: max(1, len(examples) // NAMED)]]


def _key(path: Path | None, images: Path) -> str:
    # String work, as a million of pathlib's relative paths take a minute.
    text, start = str(path), f"{images}{os.sep}"
    return text[len(start) :].replace(os.sep, "/") if text.startswith(start) else text


def _distinct(counts: tuple[int, int, int], parts: Mapping[str, list]) -> int:
    """Pictures in all parts, where validation or training may be another name for the test set."""
    train, val, test = counts
    return test + (train if parts["train"] != parts["test"] else 0) + (val if parts["val"] != parts["test"] else 0)


def _masks(card: Card, place: Place, paths: Sequence[Path | None]) -> Masks | None:
    """The released archive's masks of training pictures, if their folder is there."""
    folder = next((place.home / name for name in ("mask", "masks") if (place.home / name).is_dir()), None)
    if folder is None:
        return None
    last = {"flat": 1, "class": 2}.get(card.masks)
    full = (path.as_posix() for path in paths if path is not None)
    if last:
        wanted = ["/".join(path.split("/")[-last:]) for path in full]
    else:
        wanted = [path.rpartition(f"/{card.masks}/")[2] for path in full]
    return Masks(folder, len(wanted), len(wanted) - len(missing(folder, wanted)))


def _count(folder: Path) -> int:
    """Picture files below a folder."""
    total, stack = 0, [str(folder)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    total += 1
    return total
