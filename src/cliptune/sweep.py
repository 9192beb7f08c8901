"""Several runs: what is missing is done, what is done is read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from cliptune import claims, config, holds
from cliptune.errors import Unfinished, UserError
from cliptune.results import store
from cliptune.runners.base import Entry, Runner
from cliptune.runners.board import Board, Failure
from cliptune.types import Result

__all__ = ["Entry", "plan", "run", "state"]

#: Beside the runs' folders: what they have in common.
SHARED = ".shared"


def plan(
    labelled: Sequence[tuple[str, config.Run]],
    seeds: Sequence[int],
    out: Path,
    *,
    below: Callable[[config.Run], str] = lambda run: "",
) -> list[Entry]:
    """Every run with every seed, seed by seed, so that a sweep cut short has whole tables of fewer seeds.

    below: folders between the label's and the seed's that tell runs of one label apart.
    """
    return [
        Entry(
            label,
            dataclasses.replace(run, seed=seed),
            out / label.replace("/", "_").replace(" ", "_") / below(run) / f"seed{seed}",
        )
        for seed in seeds
        for label, run in labelled
    ]


def run(
    entries: Sequence[Entry],
    console: Console | None = None,
    *,
    runner: Runner | None = None,
    out: Path | None = None,
) -> list[Result]:
    """Results of all entries in order, each trained unless its folder holds it already.

    runner: where; by default in this process, one after the other. out: the sweep's folder, for what runs have in
    common; by default the one that holds all of theirs. A mistake that shows before anything is trained is raised at
    once, as `UserError`. Runs that fail later do not keep the others from being done; in the end `Unfinished` tells of
    them, or `UserError` where all failed by the same mistake.
    """
    console = console or Console(stderr=True)
    missing = [entry for entry in entries if not _finished(entry)]
    if missing:
        from cliptune import experiment
        from cliptune.runners.local import Local
        from cliptune.runners.work import Desk

        folder = out or Path(os.path.commonpath([entry.folder.parent.absolute() for entry in entries]))
        desk = Desk(folder.absolute() / SHARED)
        for entry in {(entry.label, entry.run.data): entry for entry in missing}.values():
            experiment.model_of(entry.run, desk.task_of(entry.run))
        board = Board(entries, missing, console)
        with board.display:
            (runner or Local()).run(board, desk)
        if board.failures:
            _tell(entries, board.failures)
    return [store.load(entry.folder / store.NAME) for entry in entries]


def state(entry: Entry) -> str:
    """Whether the entry is done, running (and who is at it), begun or missing. Raises `UserError` where its folder
    holds another run."""
    if claims.done(entry.folder, entry.run):
        return "done"
    if who := holds.holder(entry.folder):
        return f"running ({who})"
    return "begun" if claims.begun(entry.folder) else "missing"


def _finished(entry: Entry) -> bool:
    """Whether the entry is done; what a process left there that was killed after it wrote the record goes."""
    if not claims.done(entry.folder, entry.run):
        return False
    if claims.untidy(entry.folder) or (entry.folder / holds.NAME).exists():
        with suppress(UserError), holds.held(entry.folder):  # another may be at it, or only reading allowed
            claims.tidy(entry.folder, finished=True)
    return True


def _tell(entries: Sequence[Entry], failures: Sequence[Failure]) -> None:
    """Raise what says how runs failed, those that failed alike in one sentence."""
    alike: dict[str, list[Failure]] = {}
    for failure in failures:
        alike.setdefault(failure.why, []).append(failure)
    if len(failures) == len(entries) and len(alike) == 1 and failures[0].mistake:
        raise UserError(failures[0].why)
    sentences = [f"{', '.join(failure.entry.title for failure in same)}: {why}" for why, same in alike.items()]
    failed = {id(failure.entry) for failure in failures}
    results = [store.load(entry.folder / store.NAME) for entry in entries if id(entry) not in failed]
    raise Unfinished(results, [f"{len(failures)} of {len(entries)} runs failed; the others are kept", *sentences])
