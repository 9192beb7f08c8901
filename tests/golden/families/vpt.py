"""VPT: tokens in the image tower, and class prompts in the release's fixed template."""

from __future__ import annotations

from cliptune.methods.vpt import Vpt
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

METHODS = ("VPT",)
#: The same for every dataset (README, section 5.4).
TEMPLATE = "a photo of a {}."


def check(case: Case, report: Report) -> None:
    # The official code ignores layers beyond those of the tower.
    depth = min(case.hyper["prompt_depth_vision"], case.backbone.image_depth)
    method = Vpt(case.hyper["n_ctx_vision"], depth, TEMPLATE)
    model = tuned(case, report, method)
    batch, state = batch_of(report), State(0, 1)
    compare_outputs(report, compare_step(report, model, batch, state))
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, model.templates))
    compare_trace(report, model, batch, state)
