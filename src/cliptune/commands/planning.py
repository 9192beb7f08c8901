"""Plan the runs of a sweep from the flags of `cliptune run`."""

from __future__ import annotations

import hashlib
import itertools
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cliptune import coresets, files, masks, presets, protocols, run_dir, sweep, unused_options
from cliptune.backbones.resolve import resolve_backbone
from cliptune.commands import grid
from cliptune.commands.flags import Flag, flag_names, given_fields
from cliptune.commands.grid import RunFlags
from cliptune.commands.parse import parse_known, unknown_flag_error
from cliptune.commands.sweep_options import Sweep
from cliptune.config import RunConfig
from cliptune.data import sources
from cliptune.errors import UserError
from cliptune.protocols.common.benchmarks import BENCHMARKS, BENCHMARKS_NAME
from cliptune.protocols.data_efficient import FRACTIONS
from cliptune.runners.job import Job

#: Fields of a run that a sweep varies, or that its protocol determines.
SWEPT_FIELDS = ("seed", "fraction", "selector", "protocol")
#: Name in place of a selector if all training images are used.
FULL_SELECTOR = "full"


def plan_runs(name: str, options: Sweep, flags: Sequence[Flag] = ()) -> list[Job]:
    """All runs, ordered by seed and then by dataset, so that an interrupted sweep has complete tables of fewer seeds.

    flags: Further flags, for the runs that have them. Raises `UserError` for a flag that no method has, with the
    nearest.
    """
    files.check_folder(options.out)
    protocol = name.replace("-", "_")
    shots = options.shots or protocols.DEFAULT_SHOTS.get(protocol, (16,))
    fractions = options.fractions or (FRACTIONS if protocol == "data_efficient" else (1.0,))
    for selector in options.selectors:
        coresets.parse_selector(selector)
    if options.selectors != Sweep.selectors and min(fractions) == 1:
        raise UserError("selectors have no effect: fractions is 1, which selects all training images; add --fractions")
    chosen = [(FULL_SELECTOR if share == 1 else how, share) for share in fractions for how in options.selectors]
    fields = ("backbone", "pretrained", "reading", "targets", "joint", "evaluate_at")
    base = {key: getattr(options, key) for key in fields} | {"protocol": protocol}
    runs: list[tuple[str, RunConfig]] = []
    given = run_dir.read_config(options.config, options.allow_code) if options.config else None
    preset = {} if given else presets.choose_each(options.methods, options.preset)
    for data, number, (how, share), method, epochs in itertools.product(
        expand_datasets(options.data), shots, dict.fromkeys(chosen), options.methods, options.epochs or (0,)
    ):
        more = {"selector": how, "fraction": share} if share < 1 or protocol == "data_efficient" else {}
        values = {"data": data, "shots": number, **base, **more}
        run = replace(given, **values) if given else presets.get(method, preset[method], **values)
        if epochs != (*options.epochs, 0)[0] and not run.method.trains:
            continue
        training = run.training.for_stage(epochs, 1) if epochs else run.training
        runs.append((method, replace(run, training=training)))
    changed = apply_flags(f"run {name}", runs, flags, flag_names(Sweep)) if flags else runs
    from_flags = fields_of_flags(runs, flags)
    from_options = {name for name in ("targets", "joint", "evaluate_at") if getattr(options, name)}
    unused_options.check_unused_options([run for _, run in changed], sorted(from_options | from_flags))
    for backbone in {run.backbone for _, run in changed}:
        resolve_backbone(backbone, options.pretrained)
    for _, run in changed:
        masks.check_spec(run.method.mask_source() or "auto")
    return _plan_folders(options, shots, changed, flags)


def _plan_folders(
    options: Sweep, shots: Sequence[int], runs: Sequence[tuple[str, RunConfig]], flags: Sequence[Flag]
) -> list[Job]:
    """The jobs of the runs, each in the folder that contains it already, so that a sweep can be extended, or a new one.

    flags: Those of the runs, of which the swept ones are in the names of folders.
    """
    several = [(many, not many) for many in (len(expand_datasets(options.data)) > 1, len(shots) > 1)]
    epochs = ["--epochs"] if options.epochs else []
    swept = epochs * (len(options.epochs) > 1)
    swept += [flag.name for flag in flags if any(grid.is_grid(flag, run) for _, run in runs)]
    grid.check_effect(runs, swept)
    plans = [
        sweep.plan_jobs(runs, options.seeds, options.out, below=partial(run_subfolder, several=one, grid_flags=names))
        for names in grid.layouts(swept, [*dict.fromkeys([*epochs, *(flag.name for flag in flags)])])
        for one in itertools.product(*several)
    ]
    found: dict[Path, Job] = {}
    for jobs in zip(*plans, strict=True):
        job = _existing_or_first(jobs)
        job = replace(job, settings=", ".join(grid.settings(job.run, swept)))
        if job.folder in found:
            raise UserError(f"{job.title} is in the sweep twice; give each flag once, and each of its values once")
        found[job.folder] = job
    return [*found.values()]


def expand_datasets(data: Sequence[str]) -> list[str]:
    """The datasets in `--data` without duplicates, with `benchmarks11` replaced by its datasets."""
    return list(dict.fromkeys(one for name in data for one in (BENCHMARKS if name == BENCHMARKS_NAME else (name,))))


def check_data(jobs: Sequence[Job]) -> None:
    """Open all datasets of the jobs. Raises `UserError` that counts and names those that cannot be read."""
    wanted = {(spec, job.run.reading): None for job in jobs for spec in (job.run.data, *job.run.targets)}
    domains: set[str] = set()
    errors: dict[str, list[str]] = {}
    for spec, reading in wanted:
        if spec in domains:  # a style of a dataset opened above
            continue
        try:
            with warnings.catch_warnings(action="ignore"):
                domains |= {*sources.get(spec, reading).domains()}
        except UserError as error:
            errors.setdefault(str(error), []).append(spec)
    if errors:
        count = sum(map(len, errors.values()))
        reasons = "; ".join(f"{', '.join(specs)}: {reason}" for reason, specs in errors.items())
        raise UserError(f"{count} of {len(wanted)} datasets cannot be read: {reasons}")


def run_subfolder(run: RunConfig, several: Sequence[bool] = (True, True), grid_flags: Sequence[str] = ()) -> str:
    """The folders between those of the method and the seed. several: Whether the sweep has more than one dataset, and
    more than one number of shots. grid_flags: Flags with more than one value."""
    parts = [_folder_name(run.data)] if several[0] else []
    if several[1]:
        parts.append(f"shots{run.shots}")
    if run.fraction < 1 or run.protocol == "data_efficient":
        parts.append(f"{_folder_name(run.selector)}-{run.fraction:g}")
    if point := grid.settings(run, grid_flags):
        parts.append(",".join(map(_folder_name, point)))
    return "/".join(parts)


def _existing_or_first(jobs: Sequence[Job]) -> Job:
    """The job whose directory has its configuration already, so that a sweep can be extended; else the first."""
    return next((job for job in jobs if run_dir.has_config(job.folder, job.run)), jobs[0])


def _folder_name(spec: str) -> str:
    """A folder name that is unique to a spec."""
    kind, _, rest = spec.partition(":")
    plain = re.sub(r"[^\w.=,+-]+", "_", "_".join(filter(None, (kind, Path(rest).name[:40]))))
    return plain if plain == spec else f"{plain}-{hashlib.sha256(spec.encode()).hexdigest()[:8]}"


def apply_flags(
    command: str, runs: Sequence[tuple[str, RunConfig]], flags: Sequence[Flag], own: Sequence[str]
) -> list[tuple[str, RunConfig]]:
    """Apply each flag to the runs that have it, once per point of their grid. Raises `UserError` for a flag that no run
    has.

    command: The words after "cliptune", for messages. own: Further flags of the command, for the same purpose.
    """
    changed, unknown = [], []
    for method, run in runs:
        for words in grid.grid_points(flags, run):
            options, others = parse_known(RunFlags, command, words, RunFlags(run), hidden=SWEPT_FIELDS)
            changed.append((method, options.run))
            unknown.append(others)
    for flag in flags:
        if all(flag in others for others in unknown):
            known = {known for _, run in runs for known in flag_names(RunFlags, RunFlags(run), SWEPT_FIELDS)}
            raise unknown_flag_error(flag, command, sorted(known | {*own}))
    return changed


def fields_of_flags(runs: Sequence[tuple[str, RunConfig]], flags: Sequence[Flag]) -> set[str]:
    """Names of the fields that the flags set in some of the runs."""
    words = [flag.words[0] for flag in flags]
    return {path.rpartition(".")[2] for _, run in runs for path in given_fields(RunFlags, words, RunFlags(run))}
