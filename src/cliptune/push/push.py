"""Push a run to the hub."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from cliptune.errors import UserError, shown
from cliptune.external_code import AllowCode
from cliptune.hub.name import is_revision, parse_repository
from cliptune.hub.upload import Uploaded, check_token, upload_run
from cliptune.push.bundle import FILES, write_bundle
from cliptune.user_warnings import warn_user

#: Identifiers of licences on the hub: "mit", "apache-2.0", "cc-by-nc-4.0".
LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


def push_run(
    source: Path,
    repository: str,
    *,
    private: bool = False,
    revision: str = "",
    license: str = "",
    allow_code: AllowCode = False,
) -> Uploaded:
    """Write the files of a run and upload them; arguments as for `Tuned.push`, of the run directory `source`.

    Raises:
        UserError: If the run cannot be read, or the hub refuses; then nothing is uploaded.
    """
    repository = check_options(repository, revision, license)
    check_token()
    with tempfile.TemporaryDirectory(prefix="cliptune-push-") as folder:
        remarks = write_bundle(
            source, Path(folder), repository, revision=revision, license=license, allow_code=allow_code
        )
        for remark in remarks:
            warn_user(remark)
        return upload_run(Path(folder), repository, FILES, private=private, revision=revision)


def check_options(repository: str, revision: str, license: str) -> str:
    """USER/MODEL of a repository. Raises `UserError` for a name, a branch or a licence of another form."""
    repository = parse_repository(repository)
    if revision and not is_revision(revision):
        raise UserError(f"revision {shown(revision)} is not the name of a branch; use letters, digits, dots and dashes")
    if license and not LICENSE.fullmatch(license):
        raise UserError(f"license {shown(license)} is no identifier of a licence; use one such as mit or cc-by-4.0")
    return repository
