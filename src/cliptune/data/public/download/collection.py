"""Download a dataset's archive from the collection on the Hugging Face hub.

Plain requests, because huggingface_hub (1.18 and later) restarts a file after each interruption.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cliptune.data.public.common.recipe import COLLECTION
from cliptune.data.public.doctor.layouts import simplified
from cliptune.data.public.download.transfer import NotAvailable, ProgressCallback, fetch, no_progress

HUB = "https://huggingface.co"


def fetch_archive(
    names: Iterable[str], folder: Path, *, hub: str = "", progress: ProgressCallback = no_progress
) -> Path:
    """Download the archive with one of `names` into `folder`, unless it is there.

    Args:
        names: File names without suffix; case and punctuation are ignored.
        folder: The target folder.
        hub: URL of the hub; "" for the environment variable HF_ENDPOINT or the public hub.
        progress: See `fetch`.

    Raises:
        NotAvailable: If the collection has no such archive, or as in `fetch`.
        UserError: As in `fetch`.
    """
    names = list(names)
    existing = find_archive(names, (path.name for path in folder.iterdir()))
    if existing:
        return folder / existing
    hub = (hub or os.environ.get("HF_ENDPOINT", "") or HUB).rstrip("/")
    digests = _list_digests(hub, folder)
    found = find_archive(names, digests)
    if found is None:
        raise NotAvailable(f"{hub}/{COLLECTION} has no archive named {' or '.join(names)}, but {', '.join(digests)}")
    fetch(f"{hub}/{COLLECTION}/resolve/main/{found}", folder / found, digest=digests[found], progress=progress)
    return folder / found


def find_archive(names: Iterable[str], files: Iterable[str]) -> str | None:
    """The archive among `files` with one of `names`."""
    wanted = {simplified(name) for name in names}
    matches = ((file, re.fullmatch(r"(.+)\.(zip|tar|tar\.gz|tgz)", file, re.IGNORECASE)) for file in files)
    return next((file for file, match in matches if match and simplified(match[1]) in wanted), None)


def _list_digests(hub: str, folder: Path) -> dict[str, str]:
    """Digest by file name of the files in the collection."""
    listing = folder / "collection.json"
    fetch(f"{hub}/api/models/{COLLECTION}/tree/main", listing)
    try:
        entries = json.loads(listing.read_bytes())
        return {e["path"]: f"sha256:{e['lfs']['oid']}" for e in entries if e.get("lfs")}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NotAvailable(f"{hub} lists {COLLECTION} in an unknown format: {type(error).__name__}: {error}") from None
    finally:
        listing.unlink()
