"""Which dataset an archive or a folder belongs to, by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from cliptune.data import public
from cliptune.data.public.doctor.layouts import aliases, simplified
from cliptune.protocols.common.benchmarks import BENCHMARKS

#: Words around a dataset's name: caltech-101_mask.zip, mask_only_dtd.
WORDS = r"(?:masks?|foreground|seem|only|dataset|data|train|val|test)*"
#: In the file names of downloaded archives, the separator of the folders that they have on the server.
SEPARATOR = "--"
ARCHIVE = re.compile(r"(?P<name>.+)\.(?:zip|tar|tgz|tar\.(?:gz|bz2|xz))", re.IGNORECASE)


def dataset_names() -> dict[str, str]:
    """Simplified name -> dataset, for all names and folders of the benchmarks with masks."""
    specs = public.specs()
    return {
        called: name
        for name in BENCHMARKS
        for called in aliases(specs[name]) | {simplified(alias) for alias in specs[name].recipe.aliases}
    }


def identify(path: str, names: Mapping[str, str]) -> str | None:
    """The dataset that the first part of `path` with a dataset's name belongs to, or None.

    Args:
        path: A path in an archive, or of one.
        names: As from `dataset_names`.
    """
    for part in PurePosixPath(path.replace(SEPARATOR, "/")).parts:
        archive = ARCHIVE.fullmatch(part)
        called = simplified(archive["name"] if archive else part)
        stripped = re.fullmatch(f"{WORDS}(.+?){WORDS}", called)
        owner = names.get(called) or (names.get(stripped[1]) if stripped else None)
        if owner:
            return owner
    return None


def archives_of(name: str, paths: Sequence[str]) -> list[str]:
    """The archives of a dataset among `paths`: those with its name, otherwise those with the name of no dataset."""
    names = dataset_names()
    owners = {path: identify(path, names) for path in paths}
    named = [path for path, owner in owners.items() if owner == name]
    return named or [path for path, owner in owners.items() if owner is None]
