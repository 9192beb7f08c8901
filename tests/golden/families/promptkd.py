"""PromptKD: a teacher of another width, the student's projector with batch norm, distillation on all classes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.methods.promptkd import PromptKd
from cliptune.methods.promptsrc import PromptSrc
from cliptune.model.teacher import TeacherModel
from cliptune.model.tuned_model import TunedModel
from cliptune.official.tensor_names import official_buffers, official_names
from cliptune.types import Batch, State
from golden.case import Case, Unsound, clip
from golden.compare import Bound, Report
from golden.learned import tuned
from golden.training import batch_of, compare_step, compare_trace, padded

METHODS = ("PromptKD",)
TEACHER = "teacher."


def check(case: Case, report: Report) -> None:
    teacher, batch = teacher_of(case), batch_of(report)
    compare_teacher(report, teacher, batch)
    hyper = case.hyper
    # The official code ignores layers beyond those of the tower.
    depth = min(hyper["prompt_depth_vision"], case.backbone.image_depth)
    method = PromptKd("recorded", hyper["n_ctx_vision"], depth, hyper["kd_weight"], hyper["temperature"])
    model = tuned(student_part(case), report, method, teacher=lambda: teacher)
    report.used(name for name in case.tensors if name.startswith("param."))
    buffers = set_buffers(case, model)
    compare_evaluation(report, model, batch)
    state = State(0, 1, method.prepare(model.train(), None))  # type: ignore[arg-type]
    out = compare_step(report, model, batch, state)
    report.tensor("train.image_features", out.image["image"])
    report.tensor("train.logits", out.logits)
    bound = Bound(1e-6, case.json["tolerances"]["buffers_rtol"])
    for name, buffer in buffers.items():
        report.tensor(f"after_forward.{name}", buffer, bound if buffer.is_floating_point() else None)
    set_buffers(case, model)
    compare_trace(report, model, batch, state)


def teacher_of(case: Case) -> TeacherModel:
    """The recorded PromptSRC model on the recorded teacher's CLIP."""
    backbone, hyper = clip(case, "teacher_clip"), case.hyper
    depth = {"depth_text": backbone.text_depth, "depth_image": backbone.image_depth}
    depth = {name: min(layers, hyper["teacher_prompt_depth"]) for name, layers in depth.items()}
    lengths = {"n_ctx_text": hyper["teacher_n_ctx_text"], "n_ctx_image": hyper["teacher_n_ctx_vision"]}
    model = TunedModel(backbone, PromptSrc(**lengths, **depth, words=hyper["ctx_init"]), case.classnames)
    model.to(case.device)
    targets = official_names(model.learner)
    recorded = {name.removeprefix(TEACHER): t for name, t in case.parameters.items() if name.startswith(TEACHER)}
    if recorded.keys() != targets.keys():
        raise Unsound(f"the teacher's parameters differ in {sorted(recorded.keys() ^ targets.keys())}")
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(recorded[name])
    return TeacherModel(model, case.backbone)


def student_part(case: Case) -> Case:
    """The case with the student's parameters alone, and its 1x1 convolutions as linear layers."""
    part = copy.copy(case)
    own = {name: tensor for name, tensor in case.parameters.items() if not name.startswith(TEACHER)}
    parameters = {name: t.flatten(1) if t.ndim == 4 else t for name, t in own.items() if "running_" not in name}
    part.__dict__["parameters"] = parameters  # where `cached_property` keeps it
    return part


def set_buffers(case: Case, model: TunedModel) -> dict[str, Tensor]:
    """Set the running statistics to the recorded start; returns them by official name."""
    buffers = official_buffers(model.learner)
    for name, buffer in buffers.items():
        buffer.copy_(case.parameters[name]) if name in case.parameters else buffer.zero_()
    return buffers


def compare_teacher(report: Report, teacher: TeacherModel, batch: Batch) -> None:
    case, model = report.case, teacher.model
    own: Backbone = model.backbone
    report.tensor("teacher_tokens", padded(model.class_text.text.ids, own.context_length))
    report.tensor("teacher_logit_scale", own.logit_scale)
    report.tensor("teacher_text_features", teacher.text(case.classnames, model.templates))
    report.tensor("teacher_image_features", teacher.image(batch.images))
    report.tensor("teacher_logits", teacher.logits(batch.images, case.classnames, model.templates))


@torch.no_grad()
def compare_evaluation(report: Report, model: TunedModel, batch: Batch) -> None:
    """Compare features with the running statistics, and the logits of base and novel classes."""
    names, images = report.case.classnames, {"image": batch.images}
    half = -(-len(names) // 2)
    model.eval()
    report.tensor("image_features_raw", model.encode_images(images, model.prompts())["image"])
    report.tensor("eval.image_features", model(images).image["image"])
    for part, own in (("base", names[:half]), ("novel", names[half:])):
        report.tensor(f"eval.logits_{part}", model.with_classes(own)(images).logits)
