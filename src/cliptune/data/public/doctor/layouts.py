"""Where public datasets are when they are not where they should be, and the commands that put them right.

Folders are known by their names without case and punctuation, and by the first picture of the split.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from cliptune.data.public.common.spec import DatasetSpec, Layout

#: Folders that are looked into on each level: roots have a few, class folders can be a thousand.
MANY = 64


def aliases(card: DatasetSpec) -> set[str]:
    """The dataset's names and those of its folders."""
    homes = (x.home.partition("/")[0] for x in card.layouts)
    return {simplified(name) for name in (card.name, card.title, *homes)} - {""}


def simplified(name: str) -> str:
    """A name without case and punctuation."""
    return re.sub(r"[\W_]+", "", name).lower()


def suggest_move(card: DatasetSpec, root: Path, keys: Sequence[str] = ()) -> str:
    """The command that brings pictures to where a layout has them.

    keys: relative paths of some pictures, where the split is known, of which one must be there. "" where nothing that
    looks like the dataset is under the root, or it stands where it should.
    """

    def holds(folder: Path, sign: str = "") -> bool:
        return (folder / sign).is_dir() and (not keys or any((folder / key).is_file() for key in keys))

    for home in _homes(card, root):
        inner = [home, *_below(home, 2)]
        for layout in card.layouts:
            named = [(folder, _same_name(folder, layout.images)) for folder in inner]
            found = next(
                ((f, images) for f, images in named if images is not None and holds(images, layout.sign)), None
            )
            if found is not None:
                return _command(root, home, *found, layout)
        bare = next((folder for folder in inner if keys and holds(folder)), None)
        wanted = root / card.layouts[0].home
        if bare is not None and bare != home and (gathered := _gathered(home, bare, root, card, keys)):
            return gathered
        if bare == home and not wanted.exists():
            rename = f"{_make(wanted.parent)}{shell_command('mv', home, wanted)}"
            link = _link(wanted, card.layouts[0].images)
            return f"{home.name} should be called {wanted.name}, with a folder of pictures: {rename} && {link}"
        if bare is not None:
            return _into(root / _path(card.layouts[0]), bare)
    return ""


def _gathered(home: Path, bare: Path, root: Path, card: DatasetSpec, keys: Sequence[str]) -> str:
    """The command that brings pictures together which lie in several folders beside `bare`, or ""."""
    place = root / _path(card.layouts[0])
    if not any("/" in key for key in keys):  # one flat folder: theirs are classes, or parts with classes inside
        suffix = os.path.splitext(keys[0])[1]
        beside = [name for name in _folders(bare.parent) if any((bare.parent / name).glob(f"*{suffix}"))]
        if len(beside) < 2:
            return ""
        find = shell_command(
            "find", home, "-type", "f", "-name", f"*{suffix}", "-exec", "mv", "-n", "{}", f"{place}/", ";"
        )
        return f"the pictures lie in {len(beside)} folders such as {bare}, but belong into one: {_make(place)}{find}"
    holders = [bare.parent / n for n in _folders(bare.parent) if any((bare.parent / n / k).is_file() for k in keys)]
    if len(holders) < 2:
        return ""
    names, copied = ", ".join(folder.name for folder in holders), [f"{folder}/." for folder in holders]
    return f"the pictures lie in {names} of {bare.parent}: {_make(place)}{shell_command('cp', '-Rn', *copied, place)}"


def find_split_elsewhere(card: DatasetSpec, root: Path) -> Path | None:
    """The dataset's split file in a folder of another name or further down."""
    places = (folder for home in _homes(card, root) for folder in [home, *_below(home, 2)])
    return next((p / card.split for p in places if card.split and (p / card.split).is_file()), None)


def suggest_root(root: Path, cards: Sequence[DatasetSpec]) -> str:
    """What to give as root in place of one that holds no dataset."""
    for above in root.parents[:3]:
        for card in cards:
            if any(x.home and _inside(root, above / x.home) and (above / x.tell).is_dir() for x in card.layouts):
                return f"{root} belongs to {card.title} itself; give the folder above its own: {above}"
    for card in cards:
        home = card.layouts[0].home
        whole = any(x.images and (root / x.images / x.sign).is_dir() for x in card.layouts) and simplified(
            root.name
        ) in aliases(card)
        if home and (whole or (card.split and (root / card.split).is_file())):
            rename = shell_command("mv", root, root.parent / home)
            return f"{root} is {card.title} itself, under another name: {rename}; then give {root.parent}"
    for inner in [*_below(root, 2)]:
        held = [c.title for c in cards if any(x.home and (inner / x.tell).is_dir() for x in c.layouts)]
        if held:
            return f"the datasets are further down: give {inner} (it holds {', '.join(held)})"
    with os.scandir(root) as entries:
        some = sorted(entry.name for entry in entries if not entry.name.startswith("."))[:5]
    known = ", ".join(dict.fromkeys(card.layouts[0].home.partition("/")[0] for card in cards))
    found = f"holds none of the public datasets (it has {', '.join(some)})" if some else "is empty"
    make = f"cliptune data download NAME --root {shell_command(root)} makes them"
    return f"{root} {found}; each dataset has a folder of its own in it ({known}); {make}"


def suggest_folder(path: Path) -> str:
    """What is wrong with a path at which there is no folder."""
    if path.exists():
        return f"{path} is a file; give the folder that holds the datasets"
    above = next(p for p in path.parents if p.is_dir())
    missed = path.relative_to(above).parts[0]
    try:
        names = [name for name in os.listdir(above) if (above / name).is_dir()]
    except OSError:
        names = []
    plainly = {simplified(name): name for name in names}
    close = difflib.get_close_matches(simplified(missed), plainly, n=1, cutoff=0.6)
    guess = f"; did you mean {above / plainly[close[0]]}?" if close else f"; the nearest that exists is {above}"
    return f"no folder at {path}{guess}"


def _homes(card: DatasetSpec, root: Path) -> list[Path]:
    """Folders of the root that are named like the dataset or hold its split."""
    known = aliases(card)
    inner = [root / name for name in _folders(root)]
    return [p for p in inner if simplified(p.name) in known or (card.split and (p / card.split).is_file())]


def _command(root: Path, home: Path, inner: Path, images: Path, layout: Layout) -> str:
    """inner: the folder that should be `layout.home`; images: the one in it that should be `layout.images`."""
    wanted = root / layout.home
    if images == root / _path(layout):
        return ""
    if inner == wanted or (inner == home and wanted.is_dir()):
        return _into(root / _path(layout), images)
    if inner == home:
        inside = wanted / images.relative_to(home)
        then = "" if inside == root / _path(layout) else f" && {shell_command('mv', inside, root / _path(layout))}"
        command = f"{_make(wanted.parent)}{shell_command('mv', home, wanted)}{then}"
        return f"{home.name} should be called {layout.home}: {command}"
    return f"{inner} is a folder too deep: {_make(wanted)}{_all_of(inner, wanted)}"


def _into(wanted: Path, found: Path) -> str:
    if found in wanted.parents:  # a folder cannot move into itself
        inside = wanted.relative_to(found).as_posix()
        return f"the pictures lie in {found} without a folder {inside}: {_link(found, inside)}"
    if wanted.is_dir():
        return f"the pictures are in {found}: {_all_of(found, wanted)}"
    return f"the pictures are in {found}: {_make(wanted.parent)}{shell_command('mv', found, wanted)}"


def _link(home: Path, images: str) -> str:
    """The command after which pictures in `home` are also in `home/images`."""
    return f"ln -s . {shell_command(home / images)}"


def _make(folder: Path) -> str:
    return "" if folder.is_dir() else f"{shell_command('mkdir', '-p', folder)} && "


def _all_of(found: Path, wanted: Path) -> str:
    return f"mv {shlex.quote(str(found))}/* {shlex.quote(str(wanted))}/"


def _same_name(home: Path, images: str) -> Path | None:
    """The folder `images` below `home`, whatever its capitals and punctuation."""
    place = home
    for part in filter(None, images.split("/")):
        inner = _folders(place)
        match = part if part in inner else next((name for name in inner if simplified(name) == simplified(part)), None)
        if match is None:
            return None
        place = place / match
    return place if place != home or not images else None


def _below(folder: Path, depth: int) -> list[Path]:
    """Folders below one, nearest first, with the number of each level bounded."""
    level, found = [folder], []
    for _ in range(depth):
        level = [above / name for above in level for name in _folders(above)][:MANY]
        found += level
    return found


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())
    except OSError:
        return []


def _path(layout: Layout) -> Path:
    return Path(layout.home, layout.images)


def _inside(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def shell_command(*words: object) -> str:
    """A shell command of these words."""
    return shlex.join(str(word) for word in words)
