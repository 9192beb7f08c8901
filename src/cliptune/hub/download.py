"""Download a run from the hub to a folder of the cache, which is then a run directory like any other."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cliptune.errors import UserError
from cliptune.files import atomic_write, cache_folder
from cliptune.hub.client import client, endpoint, hub_errors, hub_library, is_connection_error
from cliptune.hub.name import HubName
from cliptune.user_warnings import warn_user


def download_run(name: HubName, files: Sequence[str]) -> Path:
    """The folder with those of `files` that a run on the hub has; the first of them is the checkpoint.

    There is a folder per commit. It is separate from the cache of `huggingface_hub`, as commands may write to a run
    directory. Without a connection, the files that were downloaded before are used, with a warning.

    Raises:
        UserError: If the run cannot be downloaded, or the repository contains no checkpoint.
    """
    with hub_errors(name.repository, name.revision):
        snapshot = _download_snapshot(name, files)
    if not (snapshot / files[0]).is_file():
        raise UserError(
            f"{name} is not a model of cliptune, as it has no {files[0]}; name a model that cliptune push uploaded"
        )
    folder = cache_folder() / "hub" / name.repository.replace("/", "--") / snapshot.name
    for file in files:
        if (snapshot / file).is_file() and not (folder / file).exists():
            with atomic_write(folder / file) as temporary:
                shutil.copyfile(snapshot / file, temporary)
    return folder


def _download_snapshot(name: HubName, files: Sequence[str]) -> Path:
    """The folder of a commit in the cache of `huggingface_hub`."""
    library = hub_library()
    arguments: dict[str, Any] = {
        "revision": name.revision or None,
        "allow_patterns": list(files),
        "endpoint": endpoint(),
    }
    try:
        client().model_info(name.repository, revision=name.revision or None)
    except Exception as error:
        if not is_connection_error(error):
            raise
        try:
            snapshot = Path(library.snapshot_download(name.repository, local_files_only=True, **arguments))
        except Exception:
            raise error from None  # why it cannot be downloaded says more than that it was not downloaded before
        if not isinstance(error, library.errors.OfflineModeIsEnabled):
            warn_user(
                f"{endpoint()} cannot be reached; using commit {snapshot.name} of {name.repository}, which was "
                f"downloaded before"
            )
        return snapshot
    return Path(library.snapshot_download(name.repository, **arguments))
