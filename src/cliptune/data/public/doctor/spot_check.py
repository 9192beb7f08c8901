"""Some images of a dataset looked at from outside: whether files that are there are images at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cliptune.data import image_io
from cliptune.data.public.doctor.layouts import shell_command

#: Images that are looked at, folders of each level, and images of each folder.
MOST, FOLDERS, EACH = 64, 16, 8
#: Levels of folders.
DEPTH = 4


def check_sample(images: Path, home: Path) -> str:
    """What is wrong with some of the images in a folder, how many of how many, and what to do; "" for sound ones.

    home: the dataset's folder. Where all of them are empty, the folder is taken for a list of names and left alone.
    """
    files = _some(images, DEPTH)
    files = files[:: max(1, len(files) // MOST)][:MOST]
    with image_io.lenient_pillow():
        bad = {file: why for file in files if (why := image_io.find_fault(file))}
    if not bad or (len(bad) == len(files) and all(file.stat().st_size == 0 for file in files)):
        return ""
    (why, _), *_ = Counter(bad.values()).most_common(1)
    file = next(file for file, said in bad.items() if said == why)
    way = f"fetch {'them' if len(bad) > 1 else 'it'} again"
    for tool, command in (("git lfs pull", ("lfs", "pull")), ("git annex get", ("annex", "get", "."))):
        way = shell_command("git", "-C", home, *command) if tool in why else way
    return f"{len(bad)} of {len(files)} images looked at cannot be read, such as {file}, which {why}: {way}"


def _some(folder: Path, depth: int) -> list[Path]:
    """Image files from all over a folder, without listing all of it."""
    with os.scandir(folder) as entries:
        held = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    files = [name for name, inner in held if not inner and os.path.splitext(name)[1].lower() in image_io.IMAGE_SUFFIXES]
    folders = [name for name, inner in held if inner] if depth else []
    found = [folder / name for name in _spread(files, EACH if folders or depth < DEPTH else MOST)]
    return found + [file for name in _spread(folders, FOLDERS) for file in _some(folder / name, depth - 1)]


def _spread(names: Sequence[str], most: int) -> Sequence[str]:
    return names[:: max(1, len(names) // most)][:most]
