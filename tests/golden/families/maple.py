"""MaPLe: text tokens in several layers, coupled to image tokens."""

from __future__ import annotations

import warnings

from cliptune.methods.maple import Maple
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

METHODS = ("MaPLe",)


def check(case: Case, report: Report) -> None:
    method = maple(case)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # more vectors than words
        model = tuned(case, report, method)
        sentences = method.class_prompts(case.backbone, case.classnames, model.templates)
    batch, state = batch_of(report), State(0, 1)
    compare_outputs(report, compare_step(report, model, batch, state))
    compare_tokens(report, sentences)
    compare_trace(report, model, batch, state)


def maple(case: Case) -> Maple:
    """The method with the case's hyper-parameters."""
    return Maple(case.hyper["n_ctx"], case.hyper["prompt_depth"], case.hyper["ctx_init"] or "")
