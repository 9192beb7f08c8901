"""The folder of mask archives in Prompt_Tuning_Datasets_with_Foreground, as the hub lists it now.

Names, sizes and digests come from the hub at run time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from cliptune.data.public.download.collection import HUB
from cliptune.data.public.download.transfer import NotAvailable, read_answer
from cliptune.masks.download.naming import ARCHIVE
from cliptune.text import listed

#: Masks made with SEEM for the eleven benchmarks, by the authors of FVG-PT (MIT licence). White is foreground.
REPOSITORY = "JREion/Prompt_Tuning_Datasets_with_Foreground"
#: The part of the repository without images; everything whose path begins with it.
FOLDER = "_OPTIONAL_FOREGROUND_MASK_ONLY_DATA"
#: The end of the name of one part of an archive: masks.zip.001, masks.tar.part-aa.
PART = re.compile(r"(?P<archive>.+)\.(?:part[-_]?)?(?P<order>\d{1,4}|[a-z]{2,3})", re.IGNORECASE)


@dataclass(frozen=True)
class ListedFile:
    """A file of the repository. digest: "sha256:...", or "" if the hub does not give one."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True)
class ListedArchive:
    """An archive and its files: itself, or its parts in order."""

    path: str
    files: tuple[ListedFile, ...]

    @property
    def size(self) -> int:
        """The size in bytes."""
        return sum(file.size for file in self.files)


def hub_url(given: str) -> str:
    """The URL of the hub: `given`, that of the environment variable HF_ENDPOINT, or the public one."""
    return (given or os.environ.get("HF_ENDPOINT", "") or HUB).rstrip("/")


def file_url(hub: str, path: str) -> str:
    """The URL of a file of the repository."""
    return f"{hub}/datasets/{REPOSITORY}/resolve/main/{quote(path)}"


def list_archives(hub: str) -> list[ListedArchive]:
    """The archives of masks in the repository. Raises `NotAvailable` if there are none, or the hub does not answer."""
    root = list(_entries(hub, ""))
    files = [_file(entry) for entry in root if entry["path"].startswith(FOLDER) and entry["type"] == "file"]
    for entry in root:
        if entry["path"].startswith(FOLDER) and entry["type"] == "directory":
            files += [_file(inner) for inner in _entries(hub, entry["path"]) if inner["type"] == "file"]
    archives = _join_parts(files)
    if not archives:
        there = listed([file.path for file in files] or [entry["path"] for entry in root])
        raise NotAvailable(f"{hub}/datasets/{REPOSITORY} has no zip or tar archive in {FOLDER}, but {there}")
    return archives


def _join_parts(files: Sequence[ListedFile]) -> list[ListedArchive]:
    archives: dict[str, list[ListedFile]] = {}
    spanned = [file.path for file in files if re.search(r"\.z\d\d$", file.path, re.IGNORECASE)]
    if spanned:
        whole = f"{spanned[0][:-4]}.zip"
        raise NotAvailable(f"{whole} spans several files, which only zip joins: zip -s 0 {whole} --out whole.zip")
    for file in sorted(files, key=lambda file: (len(file.path), file.path)):
        part = PART.fullmatch(file.path)
        if ARCHIVE.fullmatch(file.path):
            archives[file.path] = [file]
        elif part and ARCHIVE.fullmatch(part["archive"]):
            archives.setdefault(part["archive"], []).append(file)
    return [ListedArchive(path, tuple(parts)) for path, parts in sorted(archives.items())]


def _file(entry: dict[str, Any]) -> ListedFile:
    lfs = entry.get("lfs") or {}
    size = int(lfs.get("size", entry.get("size", 0)))
    return ListedFile(entry["path"], size, f"sha256:{lfs['oid']}" if lfs.get("oid") else "")


def _entries(hub: str, folder: str) -> Iterator[dict[str, Any]]:
    """The entries of the repository's root, or all below a folder of it; the hub answers in pages."""
    url = f"{hub}/api/datasets/{REPOSITORY}/tree/main"
    url += f"/{quote(folder)}?recursive=true" if folder else ""
    seen: set[str] = set()
    while url and url not in seen:
        seen.add(url)
        content, headers = read_answer(url)
        try:
            entries = json.loads(content)
            yield from [{**entry, "path": str(entry["path"]), "type": str(entry["type"])} for entry in entries]
        except (ValueError, TypeError, KeyError) as error:
            name = type(error).__name__
            raise NotAvailable(f"{hub} lists {REPOSITORY} in an unknown format: {name}: {error}") from None
        following = re.search(r'<([^>]+)>\s*;\s*rel="?next', headers.get("Link", ""))
        # A mirror may pass on links to the public hub.
        url = hub + urlsplit(following[1])._replace(scheme="", netloc="").geturl() if following else ""
