"""PromptSRC: IVLP's prompts, the frozen teacher, three consistency terms, and the aggregation over epochs."""

from __future__ import annotations

from cliptune.backbones.teacher import SIXTY_TEMPLATES, Teacher
from cliptune.methods.promptsrc import PromptSrc
from cliptune.model.tuned_model import TunedModel
from cliptune.prompts.averaging import average_states, gaussian_weights
from cliptune.types import Batch, State
from golden.case import Case
from golden.compare import Report
from golden.families.ivlp import prompts
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

TRAINED, AGGREGATED = "PromptSRC", "PromptSRC Gaussian prompt aggregation"
METHODS = (TRAINED, AGGREGATED)


def check(case: Case, report: Report) -> None:
    (_trained if case.method == TRAINED else _aggregated)(case, report)


def _trained(case: Case, report: Report) -> None:
    hyper = case.hyper
    weights = {"text_weight": float(hyper["text_loss_weight"]), "image_weight": float(hyper["image_loss_weight"])}
    method = PromptSrc(**prompts(case), **weights)
    model, batch = tuned(case, report, method), batch_of(report)
    templates = case.json.get("teacher_templates", SIXTY_TEMPLATES)
    report.value("teacher_templates", list(SIXTY_TEMPLATES), list(templates))
    teacher = Teacher.of(case.backbone, case.classnames, templates)
    state = State(0, 1, teacher)
    compare_outputs(report, compare_step(report, model, batch, state))
    _compare_teacher(report, teacher, batch)
    _compare_losses(report, model, batch, state)
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, model.templates))
    compare_trace(report, model, batch, state)


def _compare_teacher(report: Report, teacher: Teacher, batch: Batch) -> None:
    image = teacher.image(batch.images)
    report.tensor("teacher_text_features", teacher.text)
    report.tensor("teacher_image_features", image)
    report.tensor("teacher_logits", teacher.logits(image))


def _compare_losses(report: Report, model: TunedModel, batch: Batch, state: State) -> None:
    losses = model.method.losses(model(model.method.views(batch), state), batch, state)
    for name, recorded in {"ce": "ce_loss", "text": "scl_text", "image": "scl_image", "logits": "scl_logits"}.items():
        report.tensor(recorded, losses[name])


def _aggregated(case: Case, report: Report) -> None:
    """Averages of generated states for each (epochs, mean, standard deviation)."""
    for epochs, mean, std in case.hyper["cases"]:
        key = f"N{epochs}_mean{mean}_std{std}"
        weights = gaussian_weights(epochs, mean, std)
        states = [{"x": case.input(f"state.{key}.{epoch}")} for epoch in range(epochs)]
        report.tensor(f"weights.{key}", weights)
        report.tensor(f"aggregated.{key}", average_states(states, weights)["x"])
