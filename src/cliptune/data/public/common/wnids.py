"""ImageNet's classes: WordNet ids, the names that go with them, and folders of pictures called by them."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from cliptune.data.image_io import IMAGE_SUFFIXES
from cliptune.errors import UserError
from cliptune.files import read_text

#: The names that CLIP's authors first published and the field's experiments use: "missile" and "sunglasses" are there
#: twice (657 and 744; 836 and 837).
ASSETS = Path(__file__).parent / "imagenet"
CLASSNAMES = "classnames.txt"
WNID = re.compile(r"n\d{8}")
#: Words of WordNet itself for the two whose name another class has as well, where both are there.
UNIQUE_NAMES = {"n04008634": "projectile", "n04355933": "sunglass"}


def wnids(subset: str = "") -> tuple[str, ...]:
    """The 1,000 WordNet ids in label order, which is sorted; or the 200 of ImageNet-A ("a") or ImageNet-R ("r")."""
    if not subset:
        return tuple(_names(ASSETS / CLASSNAMES))
    return tuple((ASSETS / f"wnids_{subset}.txt").read_text(encoding="utf-8").split())


def read_classnames(ids: Sequence[str], folders: Iterable[Path] = ()) -> tuple[str, ...]:
    """The names of WordNet ids.

    folders: where a `classnames.txt` of the user's own may be; the first one found is taken, as published numbers were
    made with such a file, and a note says where it differs. Raises `UserError` for one that lacks a class.
    """
    known = _names(ASSETS / CLASSNAMES)
    file = next((folder / CLASSNAMES for folder in folders if (folder / CLASSNAMES).is_file()), None)
    own = known if file is None else _names(file)
    lacking = [wnid for wnid in ids if not own.get(wnid)]
    if lacking:
        raise UserError(
            f"{file} has no name for {len(lacking)} of {len(ids)} classes, such as {lacking[0]}; it needs a line "
            f"`{lacking[0]} {known[lacking[0]]}` for each, or take it away: the usual names are built in"
        )
    other = [wnid for wnid in ids if own[wnid] != known[wnid]]
    if other:
        warnings.warn(
            f"{file} has other names than published experiments for {len(other)} of {len(ids)} classes, such as "
            f"{own[other[0]]!r} for {known[other[0]]!r} ({other[0]}); the file's are taken",
            stacklevel=4,
        )
    return tuple(own[wnid] for wnid in ids)


def names_of_wnids(names: Iterable[str]) -> dict[str, str]:
    """The names of those of `names` that are ids of ImageNet's classes, no two the same, where all look like ids."""
    names = list(names)
    if not all(WNID.fullmatch(name) for name in names):
        return {}
    known = _names(ASSETS / CLASSNAMES)
    found = {name: known[name] for name in names if name in known}
    twice = Counter(found.values())
    return {wnid: UNIQUE_NAMES.get(wnid, name) if twice[name] > 1 else name for wnid, name in found.items()}


def list_class_folders(folder: Path, classes: Sequence[str], title: str, fix: str) -> list[list[str]]:
    """Sorted names of the picture files of each class folder.

    Only these folders are looked into, and no file is opened. Raises `UserError` counting and naming those that are
    missing or empty; `fix` ends the sentence.
    """
    found = [_pictures(folder / name) for name in classes]
    lacking = [name for name, files in zip(classes, found, strict=True) if not files]
    if lacking:
        shown = ", ".join(lacking[:5]) + ", ..." * (len(lacking) > 5)
        raise UserError(
            f"{len(lacking)} of the {len(classes)} class folders of {title} are missing or empty under {folder}: "
            f"{shown}; {fix}"
        )
    return found


def _pictures(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"cannot look into {folder} ({error.strerror}); check its permissions") from None
    return sorted(n for n in names if os.path.splitext(n)[1].lower() in IMAGE_SUFFIXES and not n.startswith("."))


def _names(file: Path) -> dict[str, str]:
    """WordNet id -> name, from lines "n01440764 tench"."""
    lines = read_text(file).splitlines()
    pairs = (line.strip().partition(" ") for line in lines if line.strip())
    return {wnid: name.strip() for wnid, _, name in pairs}
