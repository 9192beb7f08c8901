"""From a `Run` to a `Result`: the one place that knows every folder."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Generator

from cliptune import local_paths, methods, model_io, provenance, tasks
from cliptune.backbones.load import cached_backbone
from cliptune.backbones.resolve import resolve_backbone
from cliptune.config import Precision, RunConfig, fingerprint, to_dict
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.dir_lock import lock_dir
from cliptune.engine import checkpoint, coreset, resume
from cliptune.engine.evaluate_task import evaluate_at_epochs, evaluate_task, intermediate_metrics
from cliptune.engine.fit import fit
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel, check_images
from cliptune.results import store
from cliptune.run_dir import CHECKPOINT, CORESET, RESUME, STAGE, claimed_run_dir, remove_leftovers
from cliptune.types import Result, Task

PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@lru_cache(maxsize=4)
def launch_fabric(device: str, devices: int, precision: Precision) -> Fabric:
    """Device, processes and precision of runs; started once, as processes are."""
    try:
        fabric = Fabric(accelerator=device, devices=devices, precision=PRECISION[precision])  # type: ignore[arg-type]
        fabric.launch()
    except (ImportError, RuntimeError, ValueError, KeyError, TypeError, MisconfigurationException) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise UserError(f"device={device!r} devices={devices} is not available on this machine: {reason}") from None
    return fabric


def untrained_model(run: RunConfig, task: Task) -> TunedModel:
    """The backbone with an untrained learner, started from the run's seed."""
    backbone = cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    generator = Generator().manual_seed(run.seed)
    return TunedModel(backbone, run.method, task.classnames, task.dataset.templates, generator)


def run_experiment(
    run: RunConfig,
    folder: Path | None = None,
    *,
    watchers: Sequence[Watcher] = (),
    task: Task | None = None,
    label: str = "",
    about: Mapping[str, Any] | None = None,
) -> tuple[TunedModel, Result]:
    """Train and test one run; with a folder, leave config, checkpoint and result there, and go on from where a killed
    run was.

    task: the run's own, where the caller has made it already. label: the row in tables, by default the method's name.
    about: what else the record says of how the result was got.

    Raises `UserError` when the folder holds a run of another configuration, or another process is at work there.
    """
    resolve_backbone(run.backbone, run.pretrained)  # a wrong name is told before images are looked at
    fabric = launch_fabric(run.device, run.devices, run.precision)
    task, seen = tasks.validate_images(run, task or tasks.build_task(run), watchers)
    start, start_cpu = time.perf_counter(), time.process_time()
    provenance.reset_peak_memory(fabric.device)
    alone = folder if fabric.world_size == 1 else None
    backbone = cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    check_images(backbone, task.dataset)
    with lock_dir(alone), claimed_run_dir(folder, run), backbone.autocast_with(fabric.autocast):
        task = coreset_task(run, task, fabric, folder)
        model, final, history = train_stages(run, task, fabric, folder, watchers)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        with collect_assumed_ranges():  # of test images, `sound` said it above
            metrics = evaluate_task(model, task, watchers, run.training) | intermediate_metrics(history)
        described = provenance.describe_run(run, model, task)  # in the precision of the run
    result = Result(
        task=f"{task.name}/{run.data}/{run.shots}/{run.seed}",
        method=label or methods.name_of(run.method),
        data=run.data,
        seed=run.seed,
        metrics=metrics,
        config=to_dict(run),
        cost={
            "seconds": seconds,
            "cpu_seconds": cpu,
            "parameters": float(sum(p.numel() for p in model.learner.parameters() if p.requires_grad)),
            "peak_memory_mib": provenance.peak_memory(fabric.device),
        },
        history=tuple(history),
        provenance={
            **described,
            **({"places": kept} if folder is not None and (kept := local_paths.record_paths(run, folder)) else {}),
            **seen,
            **(about or {}),
        },
    )
    if folder is not None and fabric.is_global_zero:
        model_io.save_model(folder / CHECKPOINT, final, model)
        store.save_result(result, folder)
        remove_leftovers(folder, finished=True)
    return model, result


def coreset_task(run: RunConfig, task: Task, fabric: Fabric, folder: Path | None = None) -> Task:
    """The task with the part of its training pictures that the run's selector chooses.

    A folder keeps the choice: it tells which pictures trained, and a run that goes on goes on with the same.
    """
    if run.fraction == 1:
        return task
    kept = folder and folder / CORESET
    if kept and (held := coreset.read_coreset(kept, fingerprint(run), task)) is not None:
        return held
    chosen = coreset.select_coreset(
        lambda: untrained_model(run, task).to(fabric.device),
        task,
        run.fraction,
        run.selector,
        run.selector_variant,
        run.training,
        fabric,
    )
    if kept and fabric.is_global_zero:
        coreset.write_coreset(kept, fingerprint(run), chosen)
    return chosen


def train_stages(
    run: RunConfig, task: Task, fabric: Fabric, folder: Path | None = None, watchers: Sequence[Watcher] = ()
) -> tuple[TunedModel, RunConfig, list[dict[str, float]]]:
    """Train the run's method and those that follow it, such as what a search found.

    Returns the last model, its run and one row an epoch of all stages. A folder keeps each stage's outcome, so that a
    run that goes on does not repeat it.
    """
    history: list[dict[str, float]] = []
    for stage in range(1, 10):
        model = untrained_model(run, task).to(fabric.device)
        kept = folder and folder / STAGE.format(stage)
        if kept and kept.is_file():
            tensors, about = checkpoint.read_checkpoint(kept)
            checkpoint.load_learner(model.learner, tensors, f"{kept} does not fit this run (remove it to train anew)")
            rows = resume.history_of(about, kept)
        else:
            training = replace(run.training, epochs=run.method.epochs or run.training.epochs)
            begun = folder and folder / (RESUME if stage == 1 else f"stage{stage}.{RESUME}")
            looking = (
                evaluate_at_epochs(run.evaluate_at, model, task, training, len(history)) if run.evaluate_at else None
            )
            rows = fit(model, task, training, fabric=fabric, watchers=watchers, resume_file=begun, after=looking)
        history += [{**row, "epoch": len(history) + row["epoch"]} for row in rows]
        following = run.method.next_stage(model)
        if following is None:
            break
        if kept and fabric.is_global_zero and not kept.is_file():
            checkpoint.write_checkpoint(kept, model.learner.state_dict(), {"history": rows})
        run = replace(run, method=following)
    if history and len(history) < max(run.evaluate_at, default=0):
        warnings.warn(
            f"evaluate_at asks for epoch {max(run.evaluate_at)}, but {methods.name_of(run.method)} trains for "
            f"{len(history)}",
            stacklevel=2,
        )
    return model, run, history
