"""Find image files under a folder, and count files of unsupported kinds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cliptune.data.image_io import HEIC_SUFFIXES, IMAGE_SUFFIXES
from cliptune.errors import UserError, os_reason
from cliptune.text import listed

#: Folders and files left by file systems, viewers and archives; hidden files (`._1.jpg`) are junk too.
JUNK_FOLDERS = ("@eadir", "__macosx", "$recycle.bin", "system volume information")
JUNK_FILES = ("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r")
#: Suffixes of text files and tables, which are ignored without a warning.
TEXT_SUFFIXES = {
    *(".txt", ".md", ".rst", ".html", ".htm", ".log", ".ini", ".cfg", ".toml", ".yaml", ".yml", ".csv", ".tsv"),
    *(".json", ".jsonl", ".xml", ".xmp", ".aae", ".py", ".ipynb", ".sh", ".md5", ".sha1", ".sha256"),
}
#: Kinds of files named in a message.
NAMED = 5


def is_junk(name: str) -> bool:
    """Whether a file or folder with that name is ignored without a warning."""
    return name.startswith((".", "~$")) or name.lower() in JUNK_FOLDERS or name.lower() in JUNK_FILES


def find_images(folder: Path, unread: Counter[str], onerror: Callable[[OSError], None] | None = None) -> list[Path]:
    """Find image files at any depth, sorted; suffixes of other files are counted in `unread`.

    Junk and text files are neither. Broken links count as images, so that reading them reports the error.

    Args:
        folder: The folder to search.
        unread: Counts the files of unsupported kinds by suffix.
        onerror: Receives the error of a folder that cannot be listed; by default it is raised as a `UserError`.
    """

    def refuse(error: OSError) -> None:
        raise folder_error(error)

    found, base, seen = [], os.path.realpath(folder), set[str]()
    for place, folders, files in os.walk(folder, onerror=onerror or refuse, followlinks=True):
        folders[:] = [name for name in folders if not is_junk(name) and _once(Path(place, name), base, seen)]
        suffixes = [(name, os.path.splitext(name)[1].lower()) for name in files if not is_junk(name)]
        found += [Path(place, name) for name, suffix in suffixes if suffix in IMAGE_SUFFIXES]
        unread.update(suffix for _, suffix in suffixes if suffix not in IMAGE_SUFFIXES and suffix not in TEXT_SUFFIXES)
    return sorted(found)


def _once(folder: Path, base: str, seen: set[str]) -> bool:
    """Whether to enter a folder: not if it is a link into `base`, in a circle, or entered before."""
    if not folder.is_symlink():
        return True
    real = os.path.realpath(folder)
    inside = os.path.commonpath([real, base]) in (real, base)
    again = real in seen
    seen.add(real)
    return not (inside or again)


def skipped_files_message(folder: Path, unread: Counter[str]) -> str:
    """The message about files of unsupported kinds, with their numbers."""
    kinds = unread.most_common()
    shown = listed((f"{suffix or 'no suffix'}: {count}" for suffix, count in kinds), NAMED)
    way = (
        'pip install "cliptune[heic]" reads HEIC' if HEIC_SUFFIXES & unread.keys() else "convert images to JPEG or PNG"
    )
    return f"{unread.total()} of the files in {folder} have unsupported types ({shown}) and are ignored; {way}"


def folder_error(error: OSError) -> UserError:
    """The error for a folder that cannot be listed."""
    return UserError(f"cannot list {error.filename}: {os_reason(error)}")
