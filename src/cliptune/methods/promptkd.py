"""PromptKD: a student's image tower learns from a teacher's logits on unlabelled images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.errors import UserError
from cliptune.model.method import OWN_BACKBONE, Method
from cliptune.objectives.distillation import mean_kl
from cliptune.prompts.initialization import init_linear, random_tokens
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.adapters.projector import ProjectedStudent
    from cliptune.backbones.backbone import Backbone
    from cliptune.model.teacher import TeacherModel
    from cliptune.model.tuned_model import TunedModel

#: Smallest cosine of class features that are the same but for rounding.
SAME_FEATURES = 0.99


@dataclass(frozen=True)
class PromptKd(Method):
    """Image tokens and a projection of image features, distilled from a teacher on unlabelled images.

    Li et al., PromptKD: Unsupervised Prompt Distillation for Vision-Language Models, CVPR 2024,
    https://arxiv.org/abs/2403.02781. Checked against PromptKD ec244f7. The teacher's class features replace the
    student's text tower. Trains on all images of the protocol's pool, without their labels.
    """

    pool = True
    fixed_classes = True

    teacher: str = OWN_BACKBONE
    """The teacher: a run, as a directory or hf:USER/MODEL (the papers' is promptsrc on ViT-L-14), a backbone as
    NAME/PRETRAINED (zero-shot with the data's template), or own (the student's backbone, zero-shot)."""
    n_ctx: int = 4
    """Tokens per layer of the image tower."""
    depth: int = 9
    """Number of prompted layers, including the input."""
    kd_weight: float = 1000.0
    """Weight of the distillation loss, which is divided by the numbers of images and classes."""
    temperature: float = 1.0
    """Temperature of both softmaxes; the loss is multiplied by its square."""
    compat: Literal["paper", "release"] = "paper"
    """Keep the last epoch, or as the released code the epoch with the best accuracy on the base classes' or the
    target's test images, which tables mark."""

    _class_features = None  # set by `taught`, no field

    def __post_init__(self):
        if not self.teacher:
            raise UserError("teacher is empty; name a run, a backbone as NAME/PRETRAINED, or own")
        checks.at_least(self, 1, "n_ctx", "depth")
        checks.at_least(self, 0, "kd_weight")
        checks.positive(self, "temperature")

    @property
    def chooses_on_test(self) -> bool:  # type: ignore[override]
        return self.compat == "release"

    def teacher_source(self) -> str:
        return self.teacher

    def taught(self, text: Tensor) -> PromptKd:
        method = dataclasses.replace(self)
        object.__setattr__(method, "_class_features", text)
        return method

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.projector import ProjectedStudent, Projector
        from cliptune.prompts.deep import check_depth

        if self._class_features is None:
            raise UserError("promptkd's learner needs the class features of its teacher; call taught(text) before")
        check_depth(self.depth, backbone.image_depth, "image", backbone.name)
        width = self._class_features.shape[1]
        image = [random_tokens(self.n_ctx, backbone.image_width, generator) for _ in range(self.depth)]
        inner, outer = init_linear(backbone.embed_dim, width, generator), init_linear(width, width, generator)
        return ProjectedStudent(image, Projector(inner, outer), self._class_features)

    def text_features(self, model: TunedModel, extra: tuple[str, ...]) -> tuple[Tensor, Tensor | None]:
        return teacher_text(model), model.teacher.phrases(extra) if extra else None

    def prepare(self, model: TunedModel, task: Task) -> BatchTargets:
        return BatchTargets(model.teacher, model.classnames, model.templates)

    def view_loss(self, logits: Tensor, out: Outputs, batch: Batch, state: State) -> Tensor:
        """KL(teacher || student) with the teacher's logits of the whole image, whatever the view."""
        targets: BatchTargets = state.memory
        teacher, t = targets.logits(batch.images), self.temperature
        # The teacher has one column per class, while a wrapper may have added columns.
        return self.kd_weight * t**2 * mean_kl(logits[:, : teacher.shape[1]] / t, teacher / t)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"kd": self.view_loss(self.logits(out), out, batch, state)}


class BatchTargets:
    """The teacher's logits of the current batch, computed once for all losses of a step."""

    def __init__(self, teacher: TeacherModel, classnames: Sequence[str], templates: Sequence[str]):
        self.teacher, self.classnames, self.templates = teacher, classnames, templates
        self._last: tuple[Tensor, Tensor] | None = None

    def logits(self, images: Tensor) -> Tensor:
        """`(b, C)` of images `(b, 3, H, W)`."""
        if self._last is None or self._last[0] is not images:
            self._last = images, self.teacher.logits(images, self.classnames, self.templates)
        return self._last[1]


def teacher_text(model: TunedModel) -> Tensor:
    """The teacher's class features `(C, d_T)` of the model's names: those that the learner keeps if all names were
    trained, else from the teacher.

    Raises `UserError` if the teacher is needed and missing, or if it is not the one that the learner was trained with.
    """
    kept = student_learner(model).class_features
    rows = {name: i for i, name in reversed(list(enumerate(model.trained)))}
    if model.templates == model.trained_templates and set(model.classnames) <= rows.keys():
        return kept if model.classnames == model.trained else kept[[rows[name] for name in model.classnames]]
    again = model.teacher.text(model.trained, model.trained_templates)
    if again.shape != kept.shape or (again * kept).sum(-1).min() < SAME_FEATURES:
        raise UserError(
            f"the teacher {model.method.teacher_source()!r} is not the one that this model was trained with, as its "
            f"class features differ; name that one, or train again"
        )
    return model.teacher.text(model.classnames, model.templates)


def student_learner(model: TunedModel) -> ProjectedStudent:
    """The learner of PromptKD, alone or inside that of a wrapper."""
    from cliptune.adapters.projector import ProjectedStudent

    return next(module for module in model.learner.modules() if isinstance(module, ProjectedStudent))
