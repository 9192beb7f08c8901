"""Detect public datasets in an unexpected layout and suggest the commands that fix it.

Folders are recognized by name, ignoring case and punctuation, and by images that the split lists.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from cliptune.data.public.common.spec import DatasetSpec, Layout
from cliptune.registry import closest

#: Folders searched per level: roots have a few, but there can be a thousand class folders.
MAX_FOLDERS = 64


def aliases(spec: DatasetSpec) -> set[str]:
    """The dataset's names and those of its folders, simplified."""
    homes = (x.home.partition("/")[0] for x in spec.layouts)
    return {simplified(name) for name in (spec.name, spec.title, *homes)} - {""}


def simplified(name: str) -> str:
    """A name in lower case, without punctuation."""
    return re.sub(r"[\W_]+", "", name).lower()


def suggest_move(spec: DatasetSpec, root: Path, keys: Sequence[str] = ()) -> str:
    """Describe an unknown layout, with the command that moves the images to where a known layout has them.

    Args:
        spec: The dataset.
        root: The folder that contains the datasets.
        keys: Relative paths of some images, if the split is known. One of them must exist.

    Returns:
        "" if nothing under the root looks like the dataset, or its layout is right.
    """

    def has_images(folder: Path, marker_dir: str = "") -> bool:
        return (folder / marker_dir).is_dir() and (not keys or any((folder / key).is_file() for key in keys))

    for home in _candidates(spec, root):
        folders = [home, *_descendants(home, 2)]
        for layout in spec.layouts:
            named = ((folder, _image_folder(folder, layout.images)) for folder in folders)
            match = next(((f, i) for f, i in named if i is not None and has_images(i, layout.marker_dir)), None)
            if match is not None:
                return _move_home(root, home, *match, layout)
        images = next((folder for folder in folders if keys and has_images(folder)), None)
        wanted = root / spec.home
        if images is not None and images != home and (gather := _gather(home, images, _images(root, spec), keys)):
            return gather
        if images == home and not wanted.exists():
            rename = f"{mkdir_command(wanted.parent)}{shell_command('mv', home, wanted)}"
            link = _link(wanted, spec.layouts[0].images)
            return f"{home.name} should be named {wanted.name}, with a folder of images: {rename} && {link}"
        if images is not None:
            return _move_images(_images(root, spec), images)
    return ""


def find_split_elsewhere(spec: DatasetSpec, root: Path) -> Path | None:
    """The dataset's split file in a folder of another name or further down."""
    folders = (folder for home in _candidates(spec, root) for folder in [home, *_descendants(home, 2)])
    files = (folder / spec.split_file for folder in folders if spec.split_file)
    return next((file for file in files if file.is_file()), None)


def suggest_root(root: Path, specs: Sequence[DatasetSpec]) -> str:
    """Suggest a root in place of one that contains no dataset."""
    for parent in root.parents[:3]:
        for spec in specs:
            for x in spec.layouts:
                if x.home and root.is_relative_to(parent / x.home) and (parent / x.marker_path).is_dir():
                    return f"{root} belongs to {spec.title} itself; give the folder above its own: {parent}"
    for spec in specs:
        has_images = any(x.images and (root / x.images / x.marker_dir).is_dir() for x in spec.layouts)
        named = has_images and simplified(root.name) in aliases(spec)
        if spec.home and (named or (spec.split_file and (root / spec.split_file).is_file())):
            rename = shell_command("mv", root, root.parent / spec.home)
            return f"{root} is {spec.title} itself, under another name: {rename}; then give {root.parent}"
    for folder in _descendants(root, 2):
        titles = [s.title for s in specs if any(x.home and (folder / x.marker_path).is_dir() for x in s.layouts)]
        if titles:
            return f"the datasets are further down: give {folder} (it contains {', '.join(titles)})"
    with os.scandir(root) as entries:
        some = sorted(entry.name for entry in entries if not entry.name.startswith("."))[:5]
    known = ", ".join(dict.fromkeys(spec.home.partition("/")[0] for spec in specs))
    found = f"contains none of the public datasets (it has {', '.join(some)})" if some else "is empty"
    download = f"cliptune data download NAME --root {shell_command(root)} creates them"
    return f"{root} {found}; each dataset has its own folder in it ({known}); {download}"


def suggest_folder(path: Path) -> str:
    """Describe a path that is not a folder, and suggest the nearest folder."""
    if path.exists():
        return f"{path} is a file; give the folder that contains the datasets"
    parent = next(p for p in path.parents if p.is_dir())
    wanted = path.relative_to(parent).parts[0]
    names = {simplified(name): name for name in _subfolders(parent, hidden=True)}
    close = closest(simplified(wanted), names)
    guess = f"; did you mean {parent / names[close[0]]}?" if close else f"; the nearest that exists is {parent}"
    return f"no folder at {path}{guess}"


def shell_command(*words: object) -> str:
    """A shell command with these words, quoted."""
    return shlex.join(str(word) for word in words)


def _candidates(spec: DatasetSpec, root: Path) -> list[Path]:
    """Folders of the root with a name of the dataset, or with its split file."""
    known = aliases(spec)
    folders = [root / name for name in _subfolders(root)]
    return [f for f in folders if simplified(f.name) in known or (spec.split_file and (f / spec.split_file).is_file())]


def _gather(home: Path, found: Path, images: Path, keys: Sequence[str]) -> str:
    """The command that gathers images from several folders next to `found` into `images`; "" if there is one folder."""
    siblings = [found.parent / name for name in _subfolders(found.parent)]
    if not any("/" in key for key in keys):  # the images belong into one flat folder
        suffix = os.path.splitext(keys[0])[1]
        folders = [folder for folder in siblings if any(folder.glob(f"*{suffix}"))]
        if len(folders) < 2:
            return ""
        words = ("find", home, "-type", "f", "-name", f"*{suffix}", "-exec", "mv", "-n", "{}", f"{images}/", ";")
        command = mkdir_command(images) + shell_command(*words)
        return f"the images are in {len(folders)} folders such as {found}, but belong into one: {command}"
    folders = [folder for folder in siblings if any((folder / key).is_file() for key in keys)]
    if len(folders) < 2:
        return ""
    names, copied = ", ".join(folder.name for folder in folders), [f"{folder}/." for folder in folders]
    command = mkdir_command(images) + shell_command("cp", "-Rn", *copied, images)
    return f"the images are in {names} of {found.parent}: {command}"


def _move_home(root: Path, home: Path, found: Path, images: Path, layout: Layout) -> str:
    """The command for a dataset in `found` (which should be `layout.home`) with its images in `images`."""
    wanted, wanted_images = root / layout.home, root / layout.home / layout.images
    if images == wanted_images:
        return ""
    if found == wanted or (found == home and wanted.is_dir()):
        return _move_images(wanted_images, images)
    if found == home:
        moved = wanted / images.relative_to(home)
        then = "" if moved == wanted_images else f" && {shell_command('mv', moved, wanted_images)}"
        move = f"{mkdir_command(wanted.parent)}{shell_command('mv', home, wanted)}"
        return f"{home.name} should be named {layout.home}: {move}{then}"
    return f"{found} is one folder too deep: {mkdir_command(wanted)}{_move_content(found, wanted)}"


def _move_images(wanted: Path, found: Path) -> str:
    if found in wanted.parents:  # a folder cannot move into itself
        inside = wanted.relative_to(found).as_posix()
        return f"the images are in {found} without a folder {inside}: {_link(found, inside)}"
    if wanted.is_dir():
        return f"the images are in {found}: {_move_content(found, wanted)}"
    return f"the images are in {found}: {mkdir_command(wanted.parent)}{shell_command('mv', found, wanted)}"


def _link(home: Path, images: str) -> str:
    """The command that makes images in `home` available in `home/images` too."""
    return f"ln -s . {shell_command(home / images)}"


def mkdir_command(folder: Path) -> str:
    """The command, to be followed by another, that creates a folder; "" if it exists."""
    return "" if folder.is_dir() else f"{shell_command('mkdir', '-p', folder)} && "


def _move_content(found: Path, wanted: Path) -> str:
    return f"mv {shell_command(found)}/* {shell_command(wanted)}/"


def _image_folder(home: Path, images: str) -> Path | None:
    """The folder `images` below `home`, ignoring case and punctuation; None if there is none or `images` is ""."""
    place = home
    for part in filter(None, images.split("/")):
        names = _subfolders(place)
        match = part if part in names else next((name for name in names if simplified(name) == simplified(part)), None)
        if match is None:
            return None
        place = place / match
    return place


def _images(root: Path, spec: DatasetSpec) -> Path:
    """The image folder of the CoOp layout."""
    return root / spec.home / spec.layouts[0].images


def _descendants(folder: Path, depth: int) -> list[Path]:
    """Folders below one, nearest first, at most `MAX_FOLDERS` per level."""
    level, found = [folder], []
    for _ in range(depth):
        level = [parent / name for parent in level for name in _subfolders(parent)][:MAX_FOLDERS]
        found += level
    return found


def _subfolders(folder: Path, hidden: bool = False) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if (hidden or not e.name.startswith(".")) and e.is_dir())
    except OSError:
        return []
