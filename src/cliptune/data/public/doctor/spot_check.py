"""Open a sample of a dataset's image files to see whether they are images at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cliptune.data import image_io
from cliptune.data.public.doctor.layouts import shell_command

#: Maximum number of images in the sample, of folders per level, and of images per folder.
MAX_IMAGES, MAX_FOLDERS, MAX_PER_FOLDER = 64, 16, 8
#: Levels of folders.
DEPTH = 4


def check_sample(images: Path, home: Path) -> str:
    """A phrase with the number of sampled images that cannot be read, the reason and the fix; "" if all can be read.

    If all files are empty, they are placeholders that show names only, and nothing is reported.

    Args:
        images: The image folder.
        home: The dataset's folder.
    """
    files = _sample(images, DEPTH)
    files = files[:: max(1, len(files) // MAX_IMAGES)][:MAX_IMAGES]
    with image_io.lenient_pillow():
        faults = {file: fault for file in files if (fault := image_io.find_fault(file))}
    if not faults or (len(faults) == len(files) and all(file.stat().st_size == 0 for file in files)):
        return ""
    (fault, _), *_ = Counter(faults.values()).most_common(1)
    file = next(file for file, found in faults.items() if found == fault)
    fix = f"download {'them' if len(faults) > 1 else 'it'} again"
    for tool, command in (("git lfs pull", ("lfs", "pull")), ("git annex get", ("annex", "get", "."))):
        fix = shell_command("git", "-C", home, *command) if tool in fault else fix
    return f"{len(faults)} of {len(files)} sampled images cannot be read, such as {file}, which {fault}: {fix}"


def _sample(folder: Path, depth: int) -> list[Path]:
    """Image files from all over a folder, without listing all of it."""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    is_image = {name: os.path.splitext(name)[1].lower() in image_io.IMAGE_SUFFIXES for name, _ in found}
    files = [name for name, is_folder in found if not is_folder and is_image[name]]
    folders = [name for name, is_folder in found if is_folder] if depth else []
    sample = [folder / name for name in _spread(files, MAX_PER_FOLDER if folders or depth < DEPTH else MAX_IMAGES)]
    return sample + [file for name in _spread(folders, MAX_FOLDERS) for file in _sample(folder / name, depth - 1)]


def _spread(names: Sequence[str], count: int) -> Sequence[str]:
    """About `count` of the names, evenly spaced."""
    return names[:: max(1, len(names) // count)][:count]
