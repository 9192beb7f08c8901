"""Why images are missing: archives that were not unpacked, other capitals in names, folders that were not copied."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from cliptune.data.public.common.spec import DatasetSpec
from cliptune.data.public.doctor.layouts import aliases, mkdir_command, shell_command, simplified
from cliptune.text import listed

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


def suggest_unpack(spec: DatasetSpec, root: Path, specs: Sequence[DatasetSpec]) -> str:
    """The command that unpacks an archive in the root named after the dataset, or any in a folder of the dataset."""
    known = _known_archives(spec)
    present = [name for name in _archives(root) if name in known]
    if present:
        commands = " && ".join(_unpack_and_move(root / name, root, *known[name]) for name in present)
        verb = "are" if len(present) > 1 else "is"
        return f"{' and '.join(present)} {verb} there, but not unpacked: {commands}"
    for name in _archives(root):
        stem = simplified(_stem(name))
        # imagenet-a.tar starts with "imagenet" too: the dataset with the longest matching name owns the archive.
        fits = {s.name: max((len(a) for a in aliases(s) if stem.startswith(a)), default=0) for s in specs}
        if fits.get(spec.name) and fits[spec.name] == max(fits.values()):
            return f"{name} is there, but not unpacked: {_unpack(root / name, root)}"
    for home in dict.fromkeys(root / x.home for x in spec.layouts if x.home):
        for name in _archives(home):
            return f"{name} is in {home}, but not unpacked: {_unpack(home / name, home)}"
    return ""


def _known_archives(spec: DatasetSpec) -> dict[str, tuple[str, str, str]]:
    """File name of each of the dataset's own archives -> the folder to unpack it in, and what to move where then; all
    relative to the root."""
    recipe = spec.recipe
    found = {name: (folder, "", "") for name, folder in recipe.manual_archives.items()}
    for remote in recipe.remote_files:
        for file in filter(None, (remote.file_name, PurePosixPath(remote.inner_archive).name)):
            moves = recipe.moves if len(recipe.remote_files) == 1 else [m for m in recipe.moves if m[0] == _stem(file)]
            for inner, target in moves:
                if remote.inner_archive and file == remote.file_name:
                    found[file] = "", "", ""
                elif target.endswith(inner):
                    found[file] = target.removesuffix(inner).rstrip("/"), "", ""
                else:
                    found[file] = "", inner, target
    return found


def _unpack_and_move(archive: Path, root: Path, into: str, inner: str, target: str) -> str:
    command = f"{mkdir_command(root / into)}{_unpack(archive, root / into)}"
    move = f" && {mkdir_command((root / target).parent)}{shell_command('mv', root / inner, root / target)}"
    return command + move * bool(inner)


def suggest_case_fix(images: Path, missing: Iterable[str]) -> str:
    """Whether missing images exist with other capitals in their names (x.JPG for x.jpg), and the command to fix it."""
    suffixes: dict[tuple[str, str], int] = {}
    listings: dict[str, dict[str, str]] = {}
    count = 0
    for key in missing:
        folder, _, name = key.rpartition("/")
        if folder not in listings:
            listings[folder] = {found.lower(): found for found in _names(images / folder)}
        found = listings[folder].get(name.lower())
        if found is None:
            continue
        if os.path.splitext(found)[0] == os.path.splitext(name)[0]:
            pair = os.path.splitext(found)[1], os.path.splitext(name)[1]
            suffixes[pair] = suffixes.get(pair, 0) + 1
        count += 1
    if not count:
        return ""
    problem = f"{count:,} of them are there with other capitals in their names"
    if not suffixes:
        return problem + "; rename them"
    (has, wants), common = max(suffixes.items(), key=lambda item: item[1])
    loop = f"""find {shlex.quote(str(images))} -name '*{has}' -exec sh -c 'mv "$1" "${{1%{has}}}{wants}"' _ {{}} ';'"""
    return f"{problem} ({common:,} end in {has}, not {wants}): {loop}"


def missing_folders(images: Path, missing: Sequence[str]) -> str:
    """The folders of missing images that do not exist, as a phrase."""
    folders = dict.fromkeys(key.rpartition("/")[0] for key in missing)
    absent = [name for name in folders if name and not (images / name).is_dir()]
    if not absent:
        return ""
    shown = listed(absent)
    return f"{len(absent)} folder{'s do' if len(absent) > 1 else ' does'} not exist ({shown})"


def _archives(folder: Path) -> list[str]:
    return sorted(name for name in _names(folder) if name.lower().endswith(ARCHIVES))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _stem(name: str) -> str:
    return name[: -len(next(end for end in sorted(ARCHIVES, key=len, reverse=True) if name.lower().endswith(end)))]


def _unpack(archive: Path, into: Path) -> str:
    if archive.suffix.lower() == ".zip":
        return shell_command("unzip", archive, "-d", into)
    return shell_command("tar", "xf", archive, "-C", into)
