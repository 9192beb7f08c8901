"""Upload the files of a run to the hub, as one commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cliptune.errors import UserError
from cliptune.hub.client import client, endpoint, hub_errors, hub_library
from cliptune.text import listed

#: Files that any repository may have.
COMMON_FILES = {".gitattributes", ".gitignore", "README.md", "LICENSE"}


@dataclass(frozen=True)
class Uploaded:
    """A run on the hub.

    Args:
        url: The address of its page.
        commit: The commit with the files.
        new: Whether the repository was created.
        changed: Whether there was anything to commit.
    """

    url: str
    commit: str
    new: bool
    changed: bool


def check_token() -> None:
    """Raise `UserError` if there is no token to write with."""
    if not hub_library().get_token():
        raise UserError(
            f"pushing needs a token of {endpoint()} with write access; log in with hf auth login, or set HF_TOKEN"
        )


def upload_run(
    folder: Path, repository: str, owned: Sequence[str], *, private: bool = False, revision: str = ""
) -> Uploaded:
    """Upload the files of a folder, and create the repository if it does not exist.

    Args:
        folder: The files.
        repository: USER/MODEL.
        owned: Names of all files that a run may have, first its checkpoint: those that the folder lacks are deleted. A
            repository with files but no checkpoint is refused.
        private: Whether a new repository is private.
        revision: The branch to commit to, which is created if it does not exist; "" is the main branch.

    Raises:
        UserError: If there is no token, the repository is of another kind or public although it should be private, or
            the hub refuses.
    """
    check_token()
    library, api = hub_library(), client()
    with hub_errors(repository, revision):
        before = _existing(api, repository)
        if before is not None:
            _check_existing(before, repository, owned, private)
        else:
            api.create_repo(repository, private=private, exist_ok=True)
        if revision:
            api.create_branch(repository, branch=revision, exist_ok=True)
        there = api.model_info(repository, revision=revision or None)
        present = {sibling.rfilename for sibling in there.siblings or ()}
        files = sorted(path for path in folder.iterdir() if path.is_file())
        stale = (present & set(owned)) - {path.name for path in files}
        operations: list[Any] = [library.CommitOperationAdd(path.name, str(path)) for path in files]
        operations += [library.CommitOperationDelete(name) for name in sorted(stale)]
        commit = api.create_commit(
            repository, operations, commit_message="Upload a run of cliptune", revision=revision or None
        ).oid
    url = f"{endpoint()}/{repository}" + (f"/tree/{revision}" if revision else "")
    return Uploaded(url, commit, before is None, commit != there.sha)


def _existing(api: Any, repository: str) -> Any:
    """What the hub knows about a repository, or None if it does not exist."""
    try:
        return api.model_info(repository)
    except hub_library().errors.GatedRepoError:
        raise
    except hub_library().errors.RepositoryNotFoundError:
        return None


def _check_existing(found: Any, repository: str, owned: Sequence[str], private: bool) -> None:
    if private and not found.private:
        raise UserError(
            f"{repository} exists and is public, and private is for new repositories; make it private at "
            f"{endpoint()}/{repository}/settings, or choose another name"
        )
    names = {sibling.rfilename for sibling in found.siblings or ()} - COMMON_FILES
    if names and owned[0] not in names:
        raise UserError(
            f"{repository} exists and is not a model of cliptune: it contains {listed(sorted(names), 3)}; choose "
            f"another name"
        )
