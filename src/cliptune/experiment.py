"""From a `Run` to a `Result`: the one place that knows every folder."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Generator

from cliptune import __version__, masks, methods, outside, places, protocols, provenance
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import load as load_backbone
from cliptune.claims import CHECKPOINT, CORESET, RESUME, STAGE, claimed, tidy
from cliptune.config import Precision, Run, chain, fingerprint, from_dict, to_dict
from cliptune.data import aside, doubles, sources
from cliptune.data.assumed import assuming
from cliptune.data.dataset import Dataset
from cliptune.data.sound import sound
from cliptune.engine import checkpoint, coreset, header, resume, untested
from cliptune.engine.fit import fit
from cliptune.engine.measure import at, measure, on_the_way
from cliptune.engine.watchers import Watcher, watched
from cliptune.errors import UserError, shown
from cliptune.holds import held
from cliptune.masks.survey import masked
from cliptune.model import TunedModel
from cliptune.results import store
from cliptune.types import Result, Task

PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@lru_cache(maxsize=2)
def backbone_of(name: str, pretrained: str) -> Backbone:
    """The frozen model of a run; loaded once for all runs of a sweep, as nothing ever changes it."""
    return load_backbone(name, pretrained)


def dataset_of(run: Run) -> Dataset:
    """The dataset of a run; a folder is looked through anew, as its pictures may have changed."""
    return sources.get(run.data, run.reading)


@lru_cache(maxsize=4)
def fabric_of(device: str, devices: int, precision: Precision) -> Fabric:
    """Device, processes and precision of runs; started once, as processes are."""
    try:
        fabric = Fabric(accelerator=device, devices=devices, precision=PRECISION[precision])  # type: ignore[arg-type]
        fabric.launch()
    except (ImportError, RuntimeError, ValueError, KeyError, TypeError, MisconfigurationException) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise UserError(f"device={device!r} devices={devices} is not to be had here: {reason}") from None
    return fabric


def task_of(run: Run, dataset: Dataset | None = None) -> Task:
    """The one task of a run: its protocol on its data, with its shots and seed.

    dataset: the run's own, where the caller has opened it already.
    """
    more: dict[str, Any] = {}
    for option in ("targets", "joint"):
        if protocols.takes(run.protocol, option):
            more[option] = getattr(run, option)
        elif getattr(run, option):
            have = ", ".join(name for name in protocols.names() if protocols.takes(name, option))
            raise UserError(f"{run.protocol} has no {option}, only {have}; leave it out or choose another protocol")
    dataset = dataset or dataset_of(run)
    dataset = aside.validating(dataset) if asks_validation(run) else dataset
    return next(iter(protocols.get(run.protocol)(dataset, shots=run.shots, seeds=(run.seed,), **more)))


def asks_validation(run: Run) -> str:
    """What in a run looks at validation images, in words; "" where nothing does."""
    if run.training.keep == "best" and run.method.trains:
        return "keep=best"
    chooses = run.fraction < 1 and coreset.validates(run.selector)
    return run.method.validates or (f"selector={run.selector}" if chooses else "")


def own_task(path: Path, run: Run, classnames: Sequence[str]) -> Task:
    """The task of a run that was restored from `path`, for a model that knows `classnames`.

    Raises `UserError` where its data is not there any more, naming every place tried.
    """
    path = path / CHECKPOINT if path.is_dir() else path
    try:
        task = task_of(run)
    except UserError as error:
        if lost := places.missing(run, places.TASK, checkpoint.read(path)[1].get("places"), path.parent):
            raise UserError(f"{error}; {lost}") from None
        raise
    if tuple(task.classnames) == tuple(classnames) or run.reading.raw_names:
        return task
    # Earlier versions kept names, such as WordNet ids, that have words by now.
    plain = task_of(replace(run, reading=replace(run.reading, raw_names=True)))
    return plain if tuple(plain.classnames) == tuple(classnames) else task


def model_of(run: Run, task: Task) -> TunedModel:
    """The backbone with an untrained learner, started from the run's seed."""
    generator = Generator().manual_seed(run.seed)
    return TunedModel(
        backbone_of(run.backbone, run.pretrained), run.method, task.classnames, task.dataset.templates, generator
    )


def execute(
    run: Run,
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
    fabric = fabric_of(run.device, run.devices, run.precision)
    task = task or task_of(run)
    if not task.train and run.method.trains:
        raise UserError(
            f"{run.data} has no training pictures, it is there to test on: tune on another dataset (imagenet), then "
            f"cliptune evaluate RUN --data {run.data}"
        )
    task, left_out = sound(task, watched(watchers, "looking at files"))
    if task.dataset.reading.skip_bad and (spec := run.method.masks()):
        task, unmasked = masked(task, masks.get("data" if spec == "auto" else spec, task.seed))
        left_out |= unmasked
    untested.check(task, run.data)
    twice = doubles.check(task, run.data)
    aside.note(task.dataset, asks_validation(run), run.data)
    start, start_cpu = time.perf_counter(), time.process_time()
    provenance.forget_peak(fabric.device)
    alone = folder if fabric.world_size == 1 else None
    with held(alone), claimed(folder, run), computing(backbone_of(run.backbone, run.pretrained), fabric):
        task = coreset_of(run, task, fabric, folder)
        model, final, history = train(run, task, fabric, folder, watchers)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        with assuming():  # of test images, `sound` said it above
            metrics = measure(model, task, watchers, run.training) | on_the_way(history)
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
            **provenance.describe(run, model, task),
            **({"places": kept} if folder is not None and (kept := places.told(run, folder)) else {}),
            **({"left_out": left_out} if left_out else {}),
            **({"duplicates": twice} if twice else {}),
            **(about or {}),
        },
    )
    if folder is not None and fabric.is_global_zero:
        save(folder / CHECKPOINT, final, model)
        store.save(result, folder)
        tidy(folder, finished=True)
    return model, result


def coreset_of(run: Run, task: Task, fabric: Fabric, folder: Path | None = None) -> Task:
    """The task with the part of its training pictures that the run's selector chooses.

    A folder keeps the choice: it tells which pictures trained, and a run that goes on goes on with the same.
    """
    if run.fraction == 1:
        return task
    kept = folder and folder / CORESET
    if kept and (held := coreset.read(kept, fingerprint(run), task)) is not None:
        return held
    chosen = coreset.reduced(
        lambda: model_of(run, task).to(fabric.device),
        task,
        run.fraction,
        run.selector,
        run.selector_variant,
        run.training,
        fabric,
    )
    if kept and fabric.is_global_zero:
        coreset.write(kept, fingerprint(run), chosen)
    return chosen


def train(
    run: Run, task: Task, fabric: Fabric, folder: Path | None = None, watchers: Sequence[Watcher] = ()
) -> tuple[TunedModel, Run, list[dict[str, float]]]:
    """Train the run's method and those that follow it, such as what a search found.

    Returns the last model, its run and one row an epoch of all stages. A folder keeps each stage's outcome, so that a
    run that goes on does not repeat it.
    """
    history: list[dict[str, float]] = []
    for stage in range(1, 10):
        model = model_of(run, task).to(fabric.device)
        kept = folder and folder / STAGE.format(stage)
        if kept and kept.is_file():
            tensors, about = checkpoint.read(kept)
            checkpoint.fill(model.learner, tensors, f"{kept} does not fit this run (remove it to train anew)")
            rows = resume.rows_of(about, kept)
        else:
            training = replace(run.training, epochs=run.method.epochs or run.training.epochs)
            begun = folder and folder / (RESUME if stage == 1 else f"stage{stage}.{RESUME}")
            looking = at(run.evaluate_at, model, task, training, len(history)) if run.evaluate_at else None
            rows = fit(model, task, training, fabric=fabric, watchers=watchers, resume_file=begun, after=looking)
        history += [{**row, "epoch": len(history) + row["epoch"]} for row in rows]
        following = run.method.following(model)
        if following is None:
            break
        if kept and fabric.is_global_zero and not kept.is_file():
            checkpoint.write(kept, model.learner.state_dict(), {"history": rows})
        run = replace(run, method=following)
    if history and len(history) < max(run.evaluate_at, default=0):
        warnings.warn(
            f"evaluate_at asks for epoch {max(run.evaluate_at)}, but {methods.name_of(run.method)} trains for "
            f"{len(history)}",
            stacklevel=2,
        )
    return model, run, history


@contextmanager
def computing(backbone: Backbone, fabric: Fabric) -> Iterator[None]:
    """Towers in the run's precision. The backbone serves other runs as well, so it is left in float32."""
    backbone.autocast = fabric.autocast
    try:
        yield
    finally:
        backbone.autocast = nullcontext


def save(path: Path, run: Run, model: TunedModel) -> None:
    """Write learned tensors, configuration and class names."""
    about = {
        "config": to_dict(run),
        "classnames": list(model.classnames),
        "templates": list(model.templates),
        "backbone": {"name": model.backbone.name, "fingerprint": model.backbone.fingerprint},
        "version": __version__,
    }
    kept = places.told(run, path.parent)
    about |= {"places": kept} if kept else {}
    checkpoint.write(path, model.learner.state_dict(), about)


def restore(
    path: Path, backbone: Backbone | None = None, *, allow_code: outside.Allowed = False
) -> tuple[TunedModel, Run]:
    """The tuned model of a run's folder or checkpoint file.

    allow_code: whether a method outside of cliptune that the file names may be imported. Raises `UserError` for a file
    that is damaged, names such a method, or was made for another backbone.
    """
    path = path / CHECKPOINT if path.is_dir() else path
    tensors, about = checkpoint.read(path)
    held, kept = header.read(about, path), about.get("places")
    try:
        run = places.found(from_dict(held.config, allow_code), kept, path.parent)
    except UserError as error:
        raise UserError(f"the configuration in {path} cannot be used: {error}") from None
    header.check_sizes(chain(run.method), tensors, path)
    if backbone is None and (lost := places.missing(run, places.MODEL, kept, path.parent)):
        raise UserError(lost)
    backbone = backbone or backbone_of(run.backbone, run.pretrained)
    held.check(backbone, path)
    model = TunedModel(backbone, run.method, held.classnames, held.templates)
    checkpoint.fill(model.learner, tensors, f"{path} does not fit {shown(run.method)}")
    return model.eval(), run
