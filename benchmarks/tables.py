"""Run the rows of a table over seeds, or what is missing of them, and copy records and table into the repository."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from keep import keep, record_copy, without_place

from cliptune import config, run_dir, sweep
from cliptune.config import RunConfig
from cliptune.files import write_text
from cliptune.results import store, summary, table
from cliptune.types import Result


@dataclass(frozen=True)
class TableOptions:
    """Seeds, and a part of the rows or runs."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Seeds of each row."""
    only: tuple[str, ...] = ()
    """Only rows of these methods, such as coop (with coop+dept) or coop+dept; empty selects all."""
    reuse_records: bool = False
    """Use the copied records of the same configuration, to continue a table from another machine."""
    recorded: bool = False
    """Run nothing: the table of the rows that have records for all seeds."""
    part: str = ""
    """I/N: do only the I-th of every N runs, without the table."""


def make_table(
    rows: Sequence[tuple[str, RunConfig]],
    options: TableOptions,
    out: Path,
    records: Path | None,
    name: str,
    columns: Sequence[str],
    before: Callable[[Sequence[sweep.Job]], object] = lambda jobs: None,
    below: Callable[[RunConfig], str] = lambda run: "",
) -> list[Result]:
    """Run what is missing of the rows, by label, and print the table of `columns`; return the results, none for a part.

    records: The folder for copies of the records and for the table `name`.md; None keeps none. before: What to do with
    the jobs before they run. below: as for `sweep.plan_jobs`.
    """
    if options.only:
        wanted = tuple(f"{method}+" for method in options.only)
        rows = [row for row in rows if f"{row[0].partition(',')[0]}+".startswith(wanted)]
    jobs = sweep.plan_jobs(rows, options.seeds, out, below=below)
    if options.reuse_records and records:
        restore_records(jobs, out, records)
    if options.recorded:
        missing = {(job.label, below(job.run)) for job in jobs if sweep.job_state(job) != "done"}
        jobs = [job for job in jobs if (job.label, below(job.run)) not in missing]
    before(jobs)
    if options.part:
        i, n = map(int, options.part.split("/"))
        sweep.run_jobs(jobs[i - 1 :: n])
        return []
    results = shown = sweep.run_jobs(jobs)
    if records:  # the table is that of the copies, which do not say where data were
        keep([job.folder for job in jobs], out, records)
        shown = [store.load_result(record_copy(job.folder, out, records)) for job in jobs]
    text = without_place(table.to_markdown(summary.summarise(shown, columns, cost=True)), out)
    sys.stdout.write(text + "\n")
    if records:
        write_text(records / f"{name}.md", text + "\n")
    return results


def restore_records(jobs: Sequence[sweep.Job], out: Path, records: Path) -> None:
    """Copy records back into run directories that have none."""
    for job in jobs:
        copy, file = record_copy(job.folder, out, records), job.folder / store.RESULT_FILE
        if not file.is_file() and copy.is_file() and is_record_of(copy, job.run, out):
            run_dir.claim_run_dir(job.folder, job.run)
            shutil.copyfile(copy, file)


def is_record_of(record: Path, run: RunConfig, out: Path) -> bool:
    """Whether a record is that of a run, wherever the data are; options that are younger than the record had their
    default."""
    kept = config.from_dict(json.loads(without_place(json.dumps(config.to_dict(run)), out)))
    return config.fingerprint(config.from_dict(store.load_result(record).config)) == config.fingerprint(kept)
