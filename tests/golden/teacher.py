"""The teacher of a recording: the template of its class features."""

from __future__ import annotations

import torch

from cliptune.backbones.teacher import Teacher
from cliptune.backbones.tokenized_text import underscores_to_spaces
from golden.case import Case, Unsound
from golden.compare import Report


def template(case: Case) -> str:
    """The recorded dataset's template, or the one that the recorded sentences were made from."""
    table = case.strings().get("kgcoop_prograd_teacher_by_dataset", {})
    recorded = case.json.get("teacher_prompts", [])
    found = table.get(case.hyper.get("dataset")) or (
        recorded[0].replace(underscores_to_spaces(case.classnames[0]), "{}") if recorded else ""
    )
    if found.count("{}") != 1:
        raise Unsound("neither hyperparameters.dataset nor teacher_prompts gives the teacher's template")
    return found


def compare_teacher(report: Report, teacher: Teacher, image: torch.Tensor, own: str) -> None:
    """Compare the teacher's prompts, its class features and its logits of normalised image features."""
    sentences = [own.format(underscores_to_spaces(name)) for name in report.case.classnames]
    if "teacher_prompts" in report.case.json:
        report.value("teacher_prompts", sentences, report.case.json["teacher_prompts"])
    report.tensor("teacher_text_features", teacher.text)
    report.tensor("teacher_logits", teacher.logits(image))
