"""A tuned model as a file: learned tensors, configuration and class names; and the task that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cliptune import __version__, outside, places
from cliptune.backbones import identity
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import backbone_of
from cliptune.claims import CHECKPOINT
from cliptune.config import Run, chain, from_dict, to_dict
from cliptune.engine import checkpoint, header
from cliptune.errors import UserError, shown
from cliptune.model import TunedModel
from cliptune.tasks import task_of
from cliptune.types import Task


def save(path: Path, run: Run, model: TunedModel) -> None:
    """Write learned tensors, configuration and class names."""
    about = {
        "config": to_dict(run),
        "classnames": list(model.classnames),
        "templates": list(model.templates),
        "backbone": identity.describe(model.backbone),
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
    backbone = backbone or backbone_of(run.backbone, run.pretrained, run.activation)
    held.check(backbone, path)
    model = TunedModel(backbone, run.method, held.classnames, held.templates)
    checkpoint.fill(model.learner, tensors, f"{path} does not fit {shown(run.method)}")
    return model.eval(), run


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
