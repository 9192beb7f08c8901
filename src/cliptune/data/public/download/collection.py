"""A dataset's zip from the collection on the Hugging Face hub.

By plain requests, as the hub's own client begins a file anew after each interruption (huggingface_hub 1.18 and later).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cliptune.data.public.doctor.layouts import simplified
from cliptune.data.public.download.recipes import COLLECTION
from cliptune.data.public.download.transfer import NotAvailable, ProgressCallback, fetch

HUB = "https://huggingface.co"


def fetch_archive(
    names: Iterable[str], folder: Path, *, hub: str = "", watch: ProgressCallback = lambda what, done, total: None
) -> Path:
    """Bring the archive that goes by one of `names` into `folder`, unless one lies there.

    names: without suffix; case and punctuation do not count. hub: another address of the hub; "" for the usual one, or
    the environment variable HF_ENDPOINT. Raises as `fetch`, and `NotHad` where the collection lacks it.
    """
    names = list(names)
    there = find_archive(names, (path.name for path in folder.iterdir()))
    if there:
        return folder / there
    hub = (hub or os.environ.get("HF_ENDPOINT", "") or HUB).rstrip("/")
    digests = _digests(hub, folder)
    found = find_archive(names, digests)
    if found is None:
        raise NotAvailable(f"{hub}/{COLLECTION} has no archive called {' or '.join(names)}, but {', '.join(digests)}")
    fetch(f"{hub}/{COLLECTION}/resolve/main/{found}", folder / found, digest=digests[found], watch=watch)
    return folder / found


def find_archive(names: Iterable[str], files: Iterable[str]) -> str | None:
    """The archive among `files` that goes by one of `names`."""
    wanted = {simplified(name) for name in names}
    parts = ((file, re.fullmatch(r"(.+)\.(zip|tar|tar\.gz|tgz)", file, re.IGNORECASE)) for file in files)
    return next((file for file, match in parts if match and simplified(match[1]) in wanted), None)


def _digests(hub: str, folder: Path) -> dict[str, str]:
    """The files of the collection with their digests."""
    listed = folder / "collection.json"
    fetch(f"{hub}/api/models/{COLLECTION}/tree/main", listed)
    try:
        entries = json.loads(listed.read_bytes())
        return {e["path"]: f"sha256:{e['lfs']['oid']}" for e in entries if e.get("lfs")}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NotAvailable(
            f"{hub} lists {COLLECTION} in no way that is known: {type(error).__name__}: {error}"
        ) from None
    finally:
        listed.unlink()
