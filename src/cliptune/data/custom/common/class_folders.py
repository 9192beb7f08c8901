"""Class folders as found on disk: which folders are splits, which are classes, and which are neither."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from cliptune.data.custom.common.build import split_named
from cliptune.data.custom.common.walk import folder_error, is_junk
from cliptune.data.image_io import IMAGE_SUFFIXES
from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.user_warnings import warn_user

#: Names of mask folders, which may be next to class folders.
MASK_FOLDERS = ("mask", "masks")


def subfolders(home: Path) -> list[Path]:
    """The folders in a folder, sorted, including links to folders."""
    try:
        with os.scandir(home) as entries:
            return sorted(Path(entry.path) for entry in entries if not is_junk(entry.name) and entry.is_dir())
    except OSError as error:
        raise folder_error(error) from None


def split_folders(root: Path) -> dict[str, Path]:
    """The split folders that exist, by split; {} if the root contains class folders directly.

    A folder such as "test" is a split if it contains class folders. A folder with images is a class if there are other
    classes ("train", the vehicle), but is ignored next to a training split; both cases are warned of.

    Raises:
        UserError: If two folders have names of the same split, or there are splits but none for training.
    """
    by_split: dict[str, Path] = {}
    others = []
    for folder in subfolders(root):
        part = split_named(folder.name)
        if part and part in by_split:
            raise UserError(f"{root} has both {by_split[part].name} and {folder.name}; keep one {part} folder")
        if part:
            by_split[part] = folder
        elif folder.name.lower() not in MASK_FOLDERS:
            others.append(folder)
    found = {part: folder for part, folder in by_split.items() if _contains_classes(folder)}
    flat = [folder for part, folder in by_split.items() if part not in found]
    if not found and others and flat:
        them = " and ".join(folder.name for folder in flat) + (" are each" if len(flat) > 1 else " is")
        warn_user(f"{them} treated as a class of {root}, because it contains images, not class folders")
        return {}
    if by_split and "train" not in by_split:
        or_class = f", or rename {listed(sorted(p.name for p in found.values()))} if it is a class" if others else ""
        raise UserError(
            f"{root} has {', '.join(p.name for p in by_split.values())} but no train folder; add one, or put the "
            f"classes side by side{or_class}"
        )
    if "train" not in found:
        return by_split
    for folder in flat:
        warn_user(f"{folder} contains no class folders, so its images have no labels; ignored")
    ignored = [folder.name for folder in others if _has_images(folder)]
    if ignored:
        warn_user(
            f"next to {' and '.join(folder.name for folder in found.values())}, {root} has "
            f"{listed(sorted(ignored))}; ignored"
        )
    return found


def class_folders(homes: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """Class -> split -> its folder, sorted; `homes` are the split folders.

    A folder of another split belongs to the training class of the same name, ignoring case, spaces and Unicode
    composition (with a warning if the names differ in these).
    """
    found = {folder.name: {"train": folder} for folder in subfolders(homes["train"])}
    alike: dict[str, list[str]] = {}
    for name in found:
        alike.setdefault(_plain(name), []).append(name)
    for part, home in homes.items():
        for folder in subfolders(home) if part != "train" else ():
            near = alike.get(_plain(folder.name), [])
            name = folder.name if folder.name in found or len(near) != 1 else near[0]
            if part in found.get(name, {}):
                raise UserError(f"{found[name][part]} and {folder} are both called {name!r} in training; keep one")
            if name != folder.name:
                warn_user(f"{folder} is treated as class {name!r} of {homes['train']}")
            found.setdefault(name, {})[part] = folder
    return dict(sorted(found.items()))


def warn_of_loose_images(homes: Mapping[str, Path], root: Path) -> None:
    """Warn of images next to class folders."""
    for home in {root, *homes.values()}:
        loose = [name for name in os.listdir(home) if _is_image(name) and (home / name).is_file()]
        if loose:
            warn_user(
                f"{len(loose)} image{'s are' if len(loose) > 1 else ' is'} in {home} itself, outside the class folders "
                f"({listed(sorted(loose), 3)}); ignored"
            )


def drop_mask_folders(classes: list[str], home: Path) -> list[str]:
    """The classes without mask folders, unless fewer than two would remain (mask and no_mask)."""
    remaining = [name for name in classes if name.lower() not in MASK_FOLDERS]
    masks = sorted(set(classes) - set(remaining))
    if not masks or len(remaining) < 2:
        return classes
    path = home / masks[0]
    warn_user(
        f"{path} is treated as a folder of masks, not as a class; use it with --masks-from folder:{path}, or "
        f"rename the folder if it is a class"
    )
    return remaining


def check_folder_depth(root: Path, home: Path, filled: list[str]) -> None:
    """Raise `UserError` if classes are one folder deeper, or contain their own training and test folders."""
    for name in filled:
        inner = {split_named(folder.name): folder for folder in subfolders(home / name)}
        if "train" not in inner or inner.keys().isdisjoint({"val", "test"}):
            continue
        if subfolders(inner["train"]):
            raise UserError(f"{home / name} is a dataset of its own, with a train folder; use folder:{home / name}")
        wanted = f"{root}/train/{name}/<image>.jpg"
        raise UserError(
            f"{home / name} has a train folder inside; split folders contain the classes; expected {wanted}"
        )
    if len(filled) == 1 and home == root and len(subfolders(root / filled[0])) > 1:
        raise UserError(
            f"{root} has one class only ({filled[0]}); if the classes are the folders inside it, use "
            f"folder:{root / filled[0]}"
        )


def _contains_classes(folder: Path) -> bool:
    """Whether there are folders inside, and no more images next to them than folders."""
    inner = subfolders(folder)
    return bool(inner) and sum(map(_is_image, os.listdir(folder))) <= len(inner)


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split()).casefold()


def _is_image(name: str) -> bool:
    return not is_junk(name) and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _has_images(folder: Path) -> bool:
    """Whether there is an image at any depth; folders that cannot be listed are ignored."""
    return any(_is_image(name) for _, _, files in os.walk(folder) for name in files)
