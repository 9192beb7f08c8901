"""From a `Run` to a `Result`: the one place that knows every folder."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Generator

from cliptune import __version__, methods, protocols, provenance
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import load as load_backbone
from cliptune.claims import CHECKPOINT, RESUME, STAGE, claimed
from cliptune.config import Precision, Run, from_dict, to_dict
from cliptune.data import sources
from cliptune.data.dataset import Dataset
from cliptune.data.sound import sound
from cliptune.engine import checkpoint
from cliptune.engine.evaluate import logits, scores
from cliptune.engine.fit import fit
from cliptune.engine.settings import Training
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
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
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device={device!r} devices={devices} is not to be had here: {reason}") from None
    return fabric


def task_of(run: Run, dataset: Dataset | None = None) -> Task:
    """The one task of a run: its protocol on its data, with its shots and seed.

    dataset: the run's own, where the caller has opened it already.
    """
    dataset = dataset or dataset_of(run)
    return next(iter(protocols.get(run.protocol)(dataset, shots=run.shots, seeds=(run.seed,))))


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
) -> tuple[TunedModel, Result]:
    """Train and test one run; with a folder, leave config, checkpoint and result there, and go on from where a killed
    run was.

    task: the run's own, where the caller has made it already. label: the row in tables, by default the method's name.

    Raises `UserError` when the folder holds a run of another configuration.
    """
    fabric = fabric_of(run.device, run.devices, run.precision)
    task = task or task_of(run)
    if not task.train and run.method.trains:
        raise UserError(
            f"{run.data} has no training pictures, it is there to test on: tune on another dataset (imagenet), then "
            f"cliptune evaluate RUN --data {run.data}"
        )
    task, left_out = sound(task, watched(watchers, "looking at files"))
    start, start_cpu = time.perf_counter(), time.process_time()
    with claimed(folder, run), computing(backbone_of(run.backbone, run.pretrained), fabric):
        model, final, history = train(run, task, fabric, folder, watchers)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        metrics = measure(model, task, watchers, run.training)
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
        provenance={**provenance.describe(run, model, task), **({"left_out": left_out} if left_out else {})},
    )
    if folder is not None and fabric.is_global_zero:
        save(folder / CHECKPOINT, final, model)
        store.save(result, folder)
        for left in (*folder.glob(RESUME), *folder.glob("*." + RESUME)):
            left.unlink()
    return model, result


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
            model.learner.load_state_dict(tensors)
            rows = about["history"]
        else:
            training = replace(run.training, epochs=run.method.epochs or run.training.epochs)
            resume = folder and folder / (RESUME if stage == 1 else f"stage{stage}.{RESUME}")
            rows = fit(model, task, training, fabric=fabric, watchers=watchers, resume_file=resume)
        history += [{**row, "epoch": len(history) + row["epoch"]} for row in rows]
        following = run.method.following(model)
        if following is None:
            break
        if kept and fabric.is_global_zero and not kept.is_file():
            checkpoint.write(kept, model.learner.state_dict(), {"history": rows})
        run = replace(run, method=following)
    return model, run, history


def measure(
    model: TunedModel, task: Task, watchers: Sequence[Watcher] = (), training: Training | None = None
) -> dict[str, float]:
    """Metrics in percent on each of the task's test sets whose classes the model can tell apart (see `scores`).

    training: whose views and workers are taken. Raises `UserError` that names pictures that cannot be read.
    """
    task, _ = sound(replace(task, train=(), val=()), watched(watchers, "looking at files"))
    tests = {name: test for name, test in task.tests.items() if test.examples}
    if not model.takes_other_classes:
        left = [name for name, test in tests.items() if test.classnames != model.classnames]
        if left:
            warnings.warn(
                f"not tested on {', '.join(left)}: {type(model.method).__name__} learned something of its own for each "
                f"class, so it cannot take other class names",
                stacklevel=2,
            )
        tests = {name: test for name, test in tests.items() if name not in left}
    done, total, tell = 0, sum(len(test.examples) for test in tests.values()), watched(watchers, "testing")

    def tick(images: int) -> None:
        nonlocal done
        done += images
        tell(done, total)

    training, found = training or Training(), dict[str, float]()
    how: dict[str, Any] = {"preset": training.augment, "workers": training.workers, "tick": tick}
    for name, test in tests.items():
        found |= scores(logits(model, task.dataset, test, **how), test, name)
    return found


def watched(watchers: Sequence[Watcher], what: str) -> Callable[[int, int], None]:
    """What tells watchers how much is done of work besides training."""

    def tell(done: int, total: int) -> None:
        for watcher in watchers:
            watcher.other(what, done, total)

    return tell


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
    checkpoint.write(path, model.learner.state_dict(), about)


def restore(path: Path, backbone: Backbone | None = None) -> tuple[TunedModel, Run]:
    """The tuned model of a run's folder or checkpoint file. Raises `UserError` if it was made for another backbone."""
    path = path / CHECKPOINT if path.is_dir() else path
    tensors, about = checkpoint.read(path)
    if "config" not in about:
        raise UserError(f"{path} is the state of unfinished training; run the same command again to finish it")
    run = from_dict(about["config"])
    backbone = backbone or backbone_of(run.backbone, run.pretrained)
    held = about["backbone"]
    if backbone.fingerprint != held["fingerprint"]:
        raise UserError(
            f"{path} was trained on backbone {held['name']!r} ({held['fingerprint']}), not on {backbone.name!r} "
            f"({backbone.fingerprint}); load that one"
        )
    model = TunedModel(backbone, run.method, about["classnames"], about["templates"])
    try:
        model.learner.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit {run.method}: {str(error).splitlines()[-1].strip()}") from None
    return model.eval(), run
