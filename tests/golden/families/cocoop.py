"""CoCoOp: an image-conditional context."""

from __future__ import annotations

import warnings

from cliptune.methods.cocoop import CoCoOp
from cliptune.prompts.conditional import ConditionalContext
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

METHODS = ("CoCoOp",)


def check(case: Case, report: Report) -> None:
    method = CoCoOp(case.hyper["n_ctx"], case.hyper["ctx_init"] or "")
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # words of several tokens
        model = tuned(case, report, method)
    batch, state = batch_of(report), State(0, 1)
    out = compare_step(report, model, batch, state)
    compare_outputs(report, out)
    assert isinstance(model.learner, ConditionalContext)
    report.tensor("meta_net_bias", model.learner.shift(out.image["image"]))
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, model.templates))
    compare_trace(report, model, batch, state)
