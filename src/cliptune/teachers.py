"""Load the teacher of a method: a run, a backbone by name, or the student's own backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.bundled import BUNDLED
from cliptune.backbones.load import cached_backbone
from cliptune.backbones.resolve import match_architecture
from cliptune.errors import UserError
from cliptune.methods.zeroshot import ZeroShot
from cliptune.model.method import OWN_BACKBONE, Method
from cliptune.model.teacher import TeacherModel
from cliptune.model.tuned_model import TunedModel
from cliptune.run_dir import CHECKPOINT, find_run

#: The last part of the name of the tensor in which learners keep the teacher's class features.
CLASS_FEATURES = "class_features"
#: Stands for the class names of a bare backbone, which gets others before it is used.
NO_CLASSES = ("object",)
#: Loads the tuned model of a run directory or checkpoint file.
LoadRun = Callable[[Path], TunedModel]


def lazy_teacher(method: Method, student: Backbone, load_run: LoadRun) -> Callable[[], TeacherModel] | None:
    """A function that loads the method's teacher when it is first called; None for a method without one."""
    source = method.teacher_source()
    return None if source is None else cache(lambda: TeacherModel(load_teacher(source, student, load_run), student))


def load_teacher(source: str, student: Backbone, load_run: LoadRun) -> TunedModel:
    """The teacher `source`: a run (a directory, a checkpoint file, or hf:USER/MODEL), NAME/PRETRAINED of a backbone
    (with the templates of the student's data), or `OWN_BACKBONE`.

    Raises `UserError` if there is no such run or backbone.
    """
    if source == OWN_BACKBONE:
        return TunedModel(student, ZeroShot(), NO_CLASSES, trained=NO_CLASSES)
    path = find_run(source).expanduser()
    if path.is_file() or (path / CHECKPOINT).is_file():
        return load_run(path)
    name, pretrained = split_backbone(source)
    if not name:
        raise UserError(
            f"no teacher at {source!r}, which the model needs to learn, and for class names that it was not trained "
            f"on; name the directory of a run, a checkpoint file, or a backbone as NAME/PRETRAINED (ViT-L-14/openai)"
        )
    return TunedModel(cached_backbone(name, pretrained), ZeroShot(), NO_CLASSES, trained=NO_CLASSES)


def split_backbone(source: str) -> tuple[str, str]:
    """Name and weights of a backbone in NAME/PRETRAINED, where both may contain slashes ("ViT-L/14/openai"); ("", "")
    if it names none."""
    if source in BUNDLED or source.startswith("hf-hub:"):
        return source, ""
    parts = source.split("/")
    for end in range(len(parts), 0, -1):
        name = "/".join(parts[:end])
        if parts[end - 1] and match_architecture(name)[0] is not None:
            return name, "/".join(parts[end:])
    return "", ""


def saved_text(tensors: Mapping[str, Tensor]) -> Tensor | None:
    """The teacher's class features in the tensors of a checkpoint, whose shape a new learner needs; None if there are
    none."""
    return next((tensor for name, tensor in tensors.items() if name.rpartition(".")[2] == CLASS_FEATURES), None)
