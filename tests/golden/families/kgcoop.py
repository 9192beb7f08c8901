"""KgCoOp: CoOp with a distance loss to the features of hand-written prompts."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch

from cliptune.backbones.teacher import Teacher
from cliptune.methods.kgcoop import KgCoOp
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.teacher import compare_teacher, template
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

METHODS = ("KgCoOp",)


def check(case: Case, report: Report) -> None:
    hyper, own = case.hyper, template(case)
    method = KgCoOp(hyper["n_ctx"], hyper["ctx_init"] or "", hyper["w"], compat="release")
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # words of several tokens
        model = tuned(case, report, method, (own,))
    # `prepare` uses only the model to build the teacher.
    batch, state = batch_of(report), State(0, 1, method.prepare(model, None))  # type: ignore[arg-type]
    out = compare_step(report, model, batch, state)
    compare_outputs(report, out)
    with torch.no_grad():
        losses = replace(method, weight=1.0).losses(out, batch, state)
    report.tensor("ce_loss", losses["ce"])
    report.tensor("score", losses["knowledge"])
    compare_teacher(report, Teacher(case.backbone, state.memory), out.image["image"], own)
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, model.templates))
    compare_trace(report, model, batch, state)
