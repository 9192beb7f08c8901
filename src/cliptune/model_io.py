"""Save and load tuned models, and rebuild the task that a saved model was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cliptune import external_code, inputs, local_paths, teachers
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import cached_backbone
from cliptune.config import RunConfig, from_dict, nested_methods, to_dict
from cliptune.engine import checkpoint, checkpoint_header
from cliptune.errors import UserError, shown
from cliptune.model.method import Method
from cliptune.model.teacher import TeacherModel
from cliptune.model.tuned_model import TunedModel
from cliptune.run_dir import CHECKPOINT
from cliptune.tasks import build_task
from cliptune.types import Task
from cliptune.user_warnings import warn_user
from cliptune.version import __version__


def save_model(path: Path, run: RunConfig, model: TunedModel) -> None:
    """Write a checkpoint: learned tensors, configuration, class names, templates and the identity of the backbone."""
    about = {
        "config": to_dict(run),
        "classnames": list(model.classnames),
        "templates": list(model.templates),
        "backbone": model.backbone.fingerprints.describe(),
        "version": __version__,
    }
    if model.trained != model.classnames:
        about["trained"] = list(model.trained)
    places = local_paths.record_paths(run, path.parent)
    about |= {"places": places} if places else {}
    checkpoint.write_checkpoint(path, model.learner.state_dict(), about)


def load_model(
    path: Path, backbone: Backbone | None = None, *, allow_code: external_code.AllowCode = False
) -> tuple[TunedModel, RunConfig]:
    """Load the tuned model, in eval mode, and the configuration from a run directory or checkpoint file.

    backbone: by default, the one that the configuration names. allow_code: whether a method that the file names may be
    imported from outside of cliptune. Raises `UserError` for a damaged file, a method that must not be imported, or
    another backbone than the model was trained on.
    """
    path = path / CHECKPOINT if path.is_dir() else path
    tensors, about = checkpoint.read_checkpoint(path)
    header, places = checkpoint_header.read_header(about, path), about.get("places")
    try:
        run = local_paths.relocate_paths(from_dict(header.config, allow_code), places, path.parent)
    except UserError as error:
        raise UserError(f"the configuration in {path} cannot be used: {error}") from None
    checkpoint_header.check_sizes(nested_methods(run.method), tensors, path)
    if changed := inputs.find_changed(path.parent, inputs.file_digests(run, inputs.MODEL_FIELDS)):
        warn_user(
            f"{changed} changed since the run in {path.parent} was trained with it, so its predictions may differ from "
            f"those of its record; restore it for the same"
        )
    if backbone is None and (
        missing := local_paths.missing_path_error(run, local_paths.MODEL_FIELDS, places, path.parent)
    ):
        raise UserError(missing)
    backbone = backbone or cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    header.check(backbone, path)
    model = TunedModel(
        backbone,
        run.method,
        header.trained or header.classnames,
        header.templates,
        teacher=lazy_teacher(run.method, backbone),
        teacher_text=teachers.saved_text(tensors),
    )
    checkpoint.load_learner(model.learner, tensors, f"{path} does not fit {shown(run.method)}")
    model = model.with_classes(header.classnames) if header.trained else model
    return model.eval(), run


def lazy_teacher(method: Method, student: Backbone) -> Callable[[], TeacherModel] | None:
    """A function that loads the method's teacher when it is first called; None for a method without one."""
    return teachers.lazy_teacher(method, student, lambda path: load_model(path)[0])


def load_task(path: Path, run: RunConfig, classnames: Sequence[str]) -> Task:
    """Rebuild the task of the run in `path`, whose model has the class names `classnames`.

    Raises `UserError` with every path tried if the data is missing.
    """
    path = path / CHECKPOINT if path.is_dir() else path
    try:
        task = build_task(run)
    except UserError as error:
        places = checkpoint.read_checkpoint(path)[1].get("places")
        if missing := local_paths.missing_path_error(run, local_paths.TASK_FIELDS, places, path.parent):
            raise UserError(f"{error}; {missing}") from None
        raise
    if tuple(task.classnames) == tuple(classnames) or run.reading.raw_names:
        return task
    # Earlier versions stored the names in the data, such as WordNet ids, which are now replaced by words.
    raw = build_task(replace(run, reading=replace(run.reading, raw_names=True)))
    return raw if tuple(raw.classnames) == tuple(classnames) else task
