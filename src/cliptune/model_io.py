"""A tuned model as a file: learned tensors, configuration and class names; and the task that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cliptune import external_code, local_paths
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import cached_backbone
from cliptune.config import RunConfig, from_dict, nested_methods, to_dict
from cliptune.engine import checkpoint, checkpoint_header
from cliptune.errors import UserError, shown
from cliptune.model.tuned_model import TunedModel
from cliptune.run_dir import CHECKPOINT
from cliptune.tasks import build_task
from cliptune.types import Task
from cliptune.version import __version__


def save_model(path: Path, run: RunConfig, model: TunedModel) -> None:
    """Write learned tensors, configuration and class names."""
    about = {
        "config": to_dict(run),
        "classnames": list(model.classnames),
        "templates": list(model.templates),
        "backbone": model.backbone.fingerprints.describe(),
        "version": __version__,
    }
    kept = local_paths.record_paths(run, path.parent)
    about |= {"places": kept} if kept else {}
    checkpoint.write_checkpoint(path, model.learner.state_dict(), about)


def load_model(
    path: Path, backbone: Backbone | None = None, *, allow_code: external_code.AllowCode = False
) -> tuple[TunedModel, RunConfig]:
    """The tuned model of a run's folder or checkpoint file.

    allow_code: whether a method outside of cliptune that the file names may be imported. Raises `UserError` for a file
    that is damaged, names such a method, or was made for another backbone.
    """
    path = path / CHECKPOINT if path.is_dir() else path
    tensors, about = checkpoint.read_checkpoint(path)
    held, kept = checkpoint_header.read_header(about, path), about.get("places")
    try:
        run = local_paths.relocate_paths(from_dict(held.config, allow_code), kept, path.parent)
    except UserError as error:
        raise UserError(f"the configuration in {path} cannot be used: {error}") from None
    checkpoint_header.check_sizes(nested_methods(run.method), tensors, path)
    if backbone is None and (lost := local_paths.missing_path_error(run, local_paths.MODEL_FIELDS, kept, path.parent)):
        raise UserError(lost)
    backbone = backbone or cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    held.check(backbone, path)
    model = TunedModel(backbone, run.method, held.classnames, held.templates)
    checkpoint.load_learner(model.learner, tensors, f"{path} does not fit {shown(run.method)}")
    return model.eval(), run


def load_task(path: Path, run: RunConfig, classnames: Sequence[str]) -> Task:
    """The task of a run that was restored from `path`, for a model that knows `classnames`.

    Raises `UserError` where its data is not there any more, naming every place tried.
    """
    path = path / CHECKPOINT if path.is_dir() else path
    try:
        task = build_task(run)
    except UserError as error:
        if lost := local_paths.missing_path_error(
            run, local_paths.TASK_FIELDS, checkpoint.read_checkpoint(path)[1].get("places"), path.parent
        ):
            raise UserError(f"{error}; {lost}") from None
        raise
    if tuple(task.classnames) == tuple(classnames) or run.reading.raw_names:
        return task
    # Earlier versions kept names, such as WordNet ids, that have words by now.
    plain = build_task(replace(run, reading=replace(run.reading, raw_names=True)))
    return plain if tuple(plain.classnames) == tuple(classnames) else task
