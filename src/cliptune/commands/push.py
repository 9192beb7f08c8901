"""`cliptune push RUN USER/MODEL`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from tyro.conf import Positional

from cliptune import files, run_dir
from cliptune.commands.parse import parse, split_first
from cliptune.errors import UserError
from cliptune.user_warnings import warn_user


@dataclass(frozen=True)
class Push:
    """Publish a run on the Hugging Face hub: the learned tensors, the configuration, the class names, the record with
    the results, and a model card. Anyone with access loads it as hf:USER/MODEL, in Python and in commands that take a
    run. It needs a token with write access: hf auth login, or the environment variable HF_TOKEN."""

    repository: Positional[tuple[str, ...]] = ()
    """USER/MODEL. It is created if it does not exist; a model of cliptune that is there is replaced, and its earlier
    commits remain."""
    private: bool = False
    """Make a new repository private."""
    revision: str = ""
    """The branch to commit to, which is created if it does not exist. By default, the main branch."""
    license: str = ""
    """The licence of the learned tensors, for the model card: an identifier such as mit or cc-by-4.0."""
    out: Path | None = None
    """Write the files to this folder, to look at them, and upload nothing."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names. Only for files that you trust."""


def push(arguments: list[str]) -> None:
    """Upload a run, and print the address of its page."""
    path, rest = split_first(arguments, "a run's folder", "push runs/train USER/MODEL")
    options = parse(Push, "push RUN", rest)
    if len(options.repository) != 1:
        count = f"{len(options.repository)} were given" if options.repository else "none was given"
        raise UserError(f"push takes one repository, and {count}: cliptune push {path} USER/MODEL")
    (repository,) = options.repository
    if options.out is not None:
        files.check_folder(options.out)
        if options.out.exists() and any(options.out.iterdir()):
            raise UserError(f"{options.out} is not empty; choose a new folder with --out")
    from cliptune.push.push import check_options, push_run

    about = {"revision": options.revision, "license": options.license}
    repository = check_options(repository, **about)
    place = run_dir.find_run(path)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if options.out is not None:
        from cliptune.export.folder import complete_folder
        from cliptune.push.bundle import write_bundle

        with complete_folder(options.out) as folder:
            remarks = write_bundle(place, folder, repository, **about, allow_code=options.allow_code)
        for remark in remarks:
            warn_user(remark)
        sys.stdout.write(f"{options.out / 'README.md'}\n")
        return
    pushed = push_run(place, repository, private=options.private, **about, allow_code=options.allow_code)
    sys.stdout.write(f"{pushed.url}\n")
    if not pushed.changed:
        console.print(f"unchanged: the same files are there already, as commit {pushed.commit[:12]}")
    else:
        done = "created" if pushed.new else "updated; earlier commits remain"
        console.print(f"{done}, as commit {pushed.commit[:12]}", markup=False)
    name = f"hf:{repository}" + (f"@{options.revision}" if options.revision else "")
    code = " --allow-code" * options.allow_code
    console.print(f"next: cliptune predict {name} IMAGE...{code}", markup=False)
