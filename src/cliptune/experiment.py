"""Train and test one run, with its files in a run directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Generator

from cliptune import inputs, local_paths, methods, model_io, provenance, tasks
from cliptune.backbones.frozen_linear import cpu_computes_in
from cliptune.backbones.load import cached_backbone
from cliptune.backbones.resolve import resolve_backbone
from cliptune.config import Precision, RunConfig, fingerprint, to_dict
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.templates import templates_of
from cliptune.dir_lock import lock_dir
from cliptune.engine import checkpoint, coreset, resume
from cliptune.engine.evaluate_task import evaluate_at_epochs, evaluate_task, intermediate_metrics
from cliptune.engine.fit import fit
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.results import store
from cliptune.run_dir import CHECKPOINT, CORESET, RESUME, STAGE, claimed_run_dir, remove_leftovers
from cliptune.types import Result, Task
from cliptune.user_warnings import warn_user

PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def launch_fabric(device: str, devices: int, precision: Precision) -> Fabric:
    """Select the device and precision, and start the processes of a run on several devices.

    Warns of a precision that the processor does not support. Raises `UserError` if the devices are not available.
    """
    try:
        fabric = Fabric(accelerator=device, devices=devices, precision=PRECISION[precision])  # type: ignore[arg-type]
        fabric.launch()
    except (ImportError, RuntimeError, ValueError, KeyError, TypeError, MisconfigurationException) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise UserError(f"device={device!r} devices={devices} is not available on this machine: {reason}") from None
    # Fabric computes precision 16 in bfloat16 on a processor, and says so.
    if fabric.device.type == "cpu" and precision != "32" and not cpu_computes_in(torch.bfloat16):
        warn_user(f"precision {precision} is slower than 32 on this processor, which has no bfloat16 instructions")
    return fabric


def untrained_model(run: RunConfig, task: Task) -> TunedModel:
    """The backbone with an untrained learner, initialised from the run's seed."""
    backbone = cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    generator = Generator().manual_seed(run.seed)
    templates = templates_of(task.dataset, run.method.template_table)
    teacher = model_io.lazy_teacher(run.method, backbone)
    return TunedModel(backbone, run.method, task.classnames, templates, generator, teacher=teacher)


def run_experiment(
    run: RunConfig,
    folder: Path | None = None,
    *,
    watchers: Sequence[Watcher] = (),
    task: Task | None = None,
    fabric: Fabric | None = None,
    label: str = "",
    about: Mapping[str, Any] | None = None,
) -> tuple[TunedModel, Result]:
    """Train and test one run.

    folder: run directory for configuration, checkpoint and result; training resumes from the state in it. None
        writes no files.
    task: the run's task, if it was built already.
    fabric: the run's fabric, if it was launched already. Programs that train on several devices more than once should
        launch one and reuse it.
    label: the row in tables; by default, the method's name.
    about: further entries for the provenance in the record.

    Raises `UserError` if the directory contains a run of another configuration, or another process works in it.
    """
    resolve_backbone(run.backbone, run.pretrained)  # report a wrong name before reading images
    fabric = fabric or launch_fabric(run.device, run.devices, run.precision)
    watchers = [watcher for watcher in watchers if fabric.is_global_zero or not watcher.main_process_only]
    title = f"{label or methods.name_of(run.method)}, seed {run.seed}"
    with _reporting(watchers, title, run, folder) as finished:
        model, result = _train_and_test(run, folder, watchers, task, fabric, label, about or {})
        finished(result)
    return model, result


def _train_and_test(
    run: RunConfig,
    folder: Path | None,
    watchers: Sequence[Watcher],
    task: Task | None,
    fabric: Fabric,
    label: str,
    about: Mapping[str, Any],
) -> tuple[TunedModel, Result]:
    """`run_experiment` with its fabric."""
    task, image_provenance = tasks.validate_images(run, task or tasks.build_task(run), watchers)
    meter = provenance.CostMeter(fabric.device)
    backbone = cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    tasks.warn_of_small_backbone(backbone, task.dataset)
    read = {} if folder is None else {**inputs.file_digests(run), **inputs.example_digests(run, task)}
    # The processes of a run on several devices share its directory, so they do not lock it.
    with lock_dir(folder if fabric.world_size == 1 else None), claimed_run_dir(folder, run, read):
        with backbone.autocast_with(fabric.autocast):
            task = coreset_task(run, task, fabric, folder)
            model, final, history = train_stages(run, task, fabric, folder, watchers)
            meter.stop()
            for watcher in watchers:
                watcher.trained(model, task)
            metrics = _test_metrics(run, model, task, watchers) | intermediate_metrics(history)
            described = provenance.describe_run(run, model, task)  # in the precision of the run
        result = Result(
            task=f"{task.name}/{run.data}/{run.shots}/{run.seed}",
            method=label or methods.name_of(run.method),
            data=run.data,
            seed=run.seed,
            metrics=metrics,
            config=to_dict(run),
            cost=meter.cost(model),
            history=tuple(history),
            provenance={
                **described,
                **_recorded_places(run, folder, read),
                **image_provenance,
                **about,
            },
        )
        if folder is not None and fabric.is_global_zero:
            _save_run(folder, final, model, result)
    return model, result


@contextmanager
def _reporting(
    watchers: Sequence[Watcher], title: str, run: RunConfig, folder: Path | None
) -> Iterator[Callable[[Result], None]]:
    """Tell watchers that a run starts and, also after an error, that it ends. Yields a function for its result."""
    for watcher in watchers:
        watcher.run_started(title, to_dict(run), folder)
    results: list[Result] = []
    try:
        yield results.append
    finally:
        for watcher in watchers:
            watcher.run_finished(results[0] if results else None, folder)


def _test_metrics(run: RunConfig, model: TunedModel, task: Task, watchers: Sequence[Watcher]) -> dict[str, float]:
    """Metrics of all test sets, without warnings about pixel ranges, which `validate_images` has given before."""
    with collect_assumed_ranges():
        return evaluate_task(model, task, watchers, run.training)


def _recorded_places(run: RunConfig, folder: Path | None, read: Mapping[str, str]) -> dict[str, Any]:
    """Entries for the record with the local paths that the run names, and digests of what it read from paths; empty
    without a run directory or paths."""
    places = {} if folder is None else local_paths.record_paths(run, folder)
    return {name: found for name, found in (("places", places), ("inputs", dict(read))) if found}


def _save_run(folder: Path, run: RunConfig, model: TunedModel, result: Result) -> None:
    """Write the checkpoint, then the result, which marks the run as finished; then remove the state of training."""
    model_io.save_model(folder / CHECKPOINT, run, model)
    store.save_result(result, folder)
    remove_leftovers(folder, finished=True)


def coreset_task(run: RunConfig, task: Task, fabric: Fabric, folder: Path | None = None) -> Task:
    """The task with the fraction of its training images that the run's selector chooses.

    The selection is written to the run directory, which documents it and lets a resumed run train on the same images.
    """
    if run.fraction == 1:
        return task
    path = folder and folder / CORESET
    if path and (selected := coreset.read_coreset(path, fingerprint(run), task)) is not None:
        return selected
    selected = coreset.select_coreset(
        lambda: untrained_model(run, task).to(fabric.device),
        task,
        run.fraction,
        run.selector,
        run.selector_variant,
        run.training,
        fabric,
    )
    if path and fabric.is_global_zero:
        coreset.write_coreset(path, fingerprint(run), selected)
    return selected


def train_stages(
    run: RunConfig,
    task: Task,
    fabric: Fabric,
    folder: Path | None = None,
    watchers: Sequence[Watcher] = (),
    measure: Callable[[TunedModel, int], Mapping[str, float]] | None = None,
) -> tuple[TunedModel, RunConfig, list[dict[str, float]]]:
    """Train the run's method and then those that follow it, such as DPL with the prompt lengths that its search found.

    A finished stage is written to the run directory, so that a resumed run does not repeat it. Returns the last model,
    its run, and one history row per epoch of all stages.

    measure: Called with the model and the index of each finished epoch of a stage, in place of the tests of
    `evaluate_at`; the metrics it returns are merged into the row.
    """
    history: list[dict[str, float]] = []
    shots = run.shots or len(task.train) / len(task.classnames)
    before: TunedModel | None = None
    for stage in range(1, 10):
        for watcher in watchers:
            watcher.begin_stage(len(history))
        model = untrained_model(run, task).to(fabric.device)
        if before is not None:
            run.method.continue_from(model, before)
        stage_file = folder and folder / STAGE.format(stage)
        if stage_file and stage_file.is_file():
            tensors, about = checkpoint.read_checkpoint(stage_file)
            reason = f"{stage_file} does not fit this run (remove it to repeat the stage)"
            checkpoint.load_learner(model.learner, tensors, reason)
            rows = resume.history_of(about, stage_file)
        else:
            training = run.training.for_shots(shots).for_stage(run.method.epochs, run.method.share)
            resume_file = folder and folder / (RESUME if stage == 1 else f"stage{stage}.{RESUME}")
            after = partial(measure, model) if measure else None
            if run.evaluate_at and not measure:
                after = evaluate_at_epochs(run.evaluate_at, model, task, training, len(history))
            rows = fit(
                model, task, training, fabric=fabric, watchers=watchers, resume_file=resume_file, after_epoch=after
            )
        history += [{**row, "epoch": len(history) + row["epoch"]} for row in rows]
        next_method = run.method.next_stage(model)
        if next_method is None:
            break
        if stage_file and fabric.is_global_zero and not stage_file.is_file():
            checkpoint.write_checkpoint(stage_file, model.learner.state_dict(), {"history": rows})
        run, before = replace(run, method=next_method), model
    if history and len(history) < max(run.evaluate_at, default=0):
        warn_user(
            f"evaluate_at asks for epoch {max(run.evaluate_at)}, but {methods.name_of(run.method)} trains for "
            f"{len(history)}"
        )
    return model, run, history
