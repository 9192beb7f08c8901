"""Why pictures are missing from a folder that is there: archives not unpacked, other capitals, folders not copied."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from cliptune.data.public.common.spec import DatasetSpec
from cliptune.data.public.doctor.layouts import aliases, shell_command, simplified
from cliptune.data.public.download.recipes import RECIPES

#: Archives of datasets that are fetched by hand: file name -> where to unpack it.
BY_HAND = {
    "stanford_cars": dict.fromkeys(("cars_train.tgz", "cars_test.tgz"), ("stanford_cars", "", "")),
    "ucf101": {"UCF-101-midframes.zip": ("ucf101", "", "")},
    "imagenet": {f"ILSVRC2012_img_{part}.tar": (f"imagenet/images/{part}", "", "") for part in ("train", "val")},
}
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


def suggest_unpack(card: DatasetSpec, root: Path, cards: Sequence[DatasetSpec]) -> str:
    """What to unpack: an archive in the root that is named after the dataset, or any in a folder of the dataset."""
    known = _known(card.name)
    there = [name for name in _files(root) if name in known]
    if there:
        commands = " && ".join(_placed(root / name, root, *known[name]) for name in there)
        return f"{' and '.join(there)} {'are' if len(there) > 1 else 'is'} there, but not unpacked: {commands}"
    for name in _files(root):
        stem = simplified(_stem(name))
        # imagenet-a.tar starts as imagenet does: the longest name that fits says whose it is.
        fits = {c.name: max((len(a) for a in aliases(c) if stem.startswith(a)), default=0) for c in cards}
        if fits.get(card.name) and fits[card.name] == max(fits.values()):
            return f"{name} is there, but not unpacked: {_unpack(root / name, root)}"
    for home in dict.fromkeys(root / x.home for x in card.layouts if x.home):
        if home.is_dir():
            for name in _files(home):
                return f"{name} is in {home}, but not unpacked: {_unpack(home / name, home)}"
    return ""


def _known(name: str) -> dict[str, tuple[str, str, str]]:
    """The archives that a public dataset comes in: file name -> where to unpack it, and what of it to move where, all
    from the root."""
    found = dict(BY_HAND.get(name, {}))
    recipe = RECIPES.get(name)
    if recipe is None:
        return found
    for remote in recipe.remote_files:
        for file in filter(None, (remote.file, PurePosixPath(remote.inner).name)):
            moves = recipe.moves if len(recipe.remote_files) == 1 else [m for m in recipe.moves if m[0] == _stem(file)]
            for inner, target in moves:
                if remote.inner and file == remote.file:
                    found[file] = "", "", ""
                elif target.endswith(inner):
                    found[file] = target.removesuffix(inner).rstrip("/"), "", ""
                else:
                    found[file] = "", inner, target
    return found


def _placed(archive: Path, root: Path, into: str, inner: str, target: str) -> str:
    """The command that unpacks an archive below the root, and moves what is in it to where it belongs."""
    command = f"{_make(root / into)}{_unpack(archive, root / into)}"
    move = f" && {_make((root / target).parent)}{shell_command('mv', root / inner, root / target)}"
    return command + move * bool(inner)


def _make(folder: Path) -> str:
    return "" if folder.is_dir() else f"{shell_command('mkdir', '-p', folder)} && "


def suggest_case_fix(images: Path, gone: Iterable[str]) -> str:
    """Whether missing pictures are there with other capitals (x.JPG for x.jpg), and the command against it."""
    suffixes: dict[tuple[str, str], int] = {}
    folders: dict[str, dict[str, str]] = {}
    other = 0
    for key in gone:
        above, _, name = key.rpartition("/")
        if above not in folders:
            folders[above] = {found.lower(): found for found in _names(images / above)}
        found = folders[above].get(name.lower())
        if found is None:
            continue
        if os.path.splitext(found)[0] == os.path.splitext(name)[0]:
            pair = os.path.splitext(found)[1], os.path.splitext(name)[1]
            suffixes[pair] = suffixes.get(pair, 0) + 1
        other += 1
    if not other:
        return ""
    said = f"{other:,} of them are there with other capitals in their names"
    if not suffixes:
        return said + "; rename them"
    (has, wants), count = max(suffixes.items(), key=lambda item: item[1])
    loop = f"""find {shlex.quote(str(images))} -name '*{has}' -exec sh -c 'mv "$1" "${{1%{has}}}{wants}"' _ {{}} ';'"""
    return f"{said} ({count:,} end in {has}, not {wants}): {loop}"


def missing_folders(images: Path, gone: Sequence[str]) -> str:
    """Which folders of missing pictures are not there at all, in a phrase."""
    inner = dict.fromkeys(key.rpartition("/")[0] for key in gone)
    lacking = [name for name in inner if name and not (images / name).is_dir()]
    if not lacking:
        return ""
    shown = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
    return f"{len(lacking)} folder{'s are' if len(lacking) > 1 else ' is'} not there at all ({shown})"


def _files(folder: Path) -> list[str]:
    return sorted(name for name in _names(folder) if name.lower().endswith(ARCHIVES))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _stem(name: str) -> str:
    return name[: -len(next(end for end in sorted(ARCHIVES, key=len, reverse=True) if name.lower().endswith(end)))]


def _unpack(archive: Path, into: Path) -> str:
    return (
        shell_command("unzip", archive, "-d", into)
        if archive.suffix.lower() == ".zip"
        else shell_command("tar", "xf", archive, "-C", into)
    )
