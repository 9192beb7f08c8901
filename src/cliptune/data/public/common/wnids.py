"""ImageNet's classes: WordNet IDs, class names, and class folders named by ID."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from cliptune.data.image_io import IMAGE_SUFFIXES
from cliptune.errors import UserError, os_reason
from cliptune.files import read_text
from cliptune.text import listed
from cliptune.user_warnings import warn_user

#: The class names that CLIP's authors published first and later experiments use: "missile" (657 and 744) and
#: "sunglasses" (836 and 837) occur twice.
ASSETS = Path(__file__).parent / "imagenet"
CLASSNAMES = "classnames.txt"
WNID = re.compile(r"n\d{8}")
#: WordNet's own names of the two classes whose name another class has too; used if both are present.
UNIQUE_NAMES = {"n04008634": "projectile", "n04355933": "sunglass"}


def wnids(subset: str = "") -> tuple[str, ...]:
    """The 1,000 WordNet IDs in label order, which is sorted; or the 200 of ImageNet-A ("a") or ImageNet-R ("r")."""
    if not subset:
        return tuple(_read_names(ASSETS / CLASSNAMES))
    return tuple((ASSETS / f"wnids_{subset}.txt").read_text(encoding="utf-8").split())


def read_classnames(ids: Sequence[str], folders: Iterable[Path] = ()) -> tuple[str, ...]:
    """The class names of WordNet IDs.

    Args:
        ids: WordNet IDs in label order.
        folders: Searched for the user's own `classnames.txt`, because published results were made with such a file. The
            first one found is used, with a warning if it differs from the built-in names.

    Raises:
        UserError: If that file has no name for a class.
    """
    known = _read_names(ASSETS / CLASSNAMES)
    file = next((folder / CLASSNAMES for folder in folders if (folder / CLASSNAMES).is_file()), None)
    own = known if file is None else _read_names(file)
    missing = [wnid for wnid in ids if not own.get(wnid)]
    if missing:
        raise UserError(
            f"{file} has no name for {len(missing)} of {len(ids)} classes, such as {missing[0]}; add lines such as "
            f"`{missing[0]} {known[missing[0]]}`, or remove the file to use the built-in names"
        )
    different = [wnid for wnid in ids if own[wnid] != known[wnid]]
    if different:
        warn_user(
            f"{file} has other names than published experiments for {len(different)} of {len(ids)} classes, such as "
            f"{own[different[0]]!r} for {known[different[0]]!r} ({different[0]}); the names of the file are used"
        )
    return tuple(own[wnid] for wnid in ids)


def names_of_wnids(names: Iterable[str]) -> dict[str, str]:
    """Map WordNet IDs of ImageNet's classes to unique class names; empty unless all `names` look like WordNet IDs."""
    names = list(names)
    if not all(WNID.fullmatch(name) for name in names):
        return {}
    known = _read_names(ASSETS / CLASSNAMES)
    found = {name: known[name] for name in names if name in known}
    counts = Counter(found.values())
    return {wnid: UNIQUE_NAMES.get(wnid, name) if counts[name] > 1 else name for wnid, name in found.items()}


def list_class_folders(folder: Path, classes: Sequence[str], title: str, fix: str) -> list[list[str]]:
    """List the image files of each class folder, sorted by name, without opening any file.

    Args:
        folder: Contains the class folders. Other folders in it are ignored.
        classes: Names of the class folders, in label order.
        title: The dataset's title, for the error message.
        fix: How to fix missing class folders, for the error message.

    Raises:
        UserError: If class folders are missing or empty.
    """
    files = [_list_images(folder / name) for name in classes]
    missing = [name for name, found in zip(classes, files, strict=True) if not found]
    if missing:
        shown = listed(missing)
        raise UserError(
            f"{len(missing)} of the {len(classes)} class folders of {title} are missing or empty under {folder}: "
            f"{shown}; {fix}"
        )
    return files


def _list_images(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"cannot list {folder} ({os_reason(error)}); check its permissions") from None
    return sorted(n for n in names if os.path.splitext(n)[1].lower() in IMAGE_SUFFIXES and not n.startswith("."))


def _read_names(file: Path) -> dict[str, str]:
    """Read WordNet ID -> name from lines such as "n01440764 tench"."""
    lines = read_text(file).splitlines()
    pairs = (line.strip().partition(" ") for line in lines if line.strip())
    return {wnid: name.strip() for wnid, _, name in pairs}
