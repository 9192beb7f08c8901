"""Names of runs on the hub: hf:USER/MODEL, hf:USER/MODEL@REVISION."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike, fspath

from cliptune.errors import UserError, shown

PREFIX = "hf:"
#: A user or an organization, and a model of theirs.
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
#: A branch, a tag or a commit.
REVISION = re.compile(r"\w[\w./+-]*", re.ASCII)


@dataclass(frozen=True)
class HubName:
    """A model on the hub. revision: A branch, a tag or a commit; "" is the main branch."""

    repository: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def is_hub_name(path: str | PathLike[str]) -> bool:
    """Whether a run that the user named is on the hub, and not a path."""
    return fspath(path).startswith(PREFIX)


def parse_name(path: str | PathLike[str]) -> HubName:
    """The name of a run on the hub. Raises `UserError` if it is not of the form hf:USER/MODEL[@REVISION]."""
    text = fspath(path).replace("\\", "/")  # as a `Path`, it has the separators of the system
    repository, at, revision = text.removeprefix(PREFIX).partition("@")
    if not REPOSITORY.fullmatch(repository) or (at and not is_revision(revision)):
        raise UserError(f"{shown(text)} names no run on the hub; use hf:USER/MODEL, or hf:USER/MODEL@REVISION")
    return HubName(repository, revision)


def parse_repository(text: str) -> str:
    """USER/MODEL of a repository to write to. Raises `UserError` for another form."""
    repository = text.removeprefix(PREFIX)
    if "@" in repository and REPOSITORY.fullmatch(repository.partition("@")[0]):
        name, _, revision = repository.partition("@")
        raise UserError(f"{shown(text)} has a revision, which is named apart: {name} --revision {revision}")
    if not REPOSITORY.fullmatch(repository):
        raise UserError(f"{shown(text)} is not the name of a repository on the hub; use USER/MODEL")
    return repository


def is_revision(text: str) -> bool:
    """Whether a branch, a tag or a commit can have this name."""
    return REVISION.fullmatch(text) is not None and ".." not in text
