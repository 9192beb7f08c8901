"""IVLP: tokens in both towers, independent of each other, or in the text tower alone."""

from __future__ import annotations

from typing import Any

from cliptune.methods.ivlp import Ivlp
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

METHODS = ("IVLP",)
#: More vectors per layer than this are initialised at random, whatever the words (README, section 4).
MOST_WORDS = 4


def check(case: Case, report: Report) -> None:
    method = Ivlp(**prompts(case))
    model = tuned(case, report, method)
    batch, state = batch_of(report), State(0, 1)
    compare_outputs(report, compare_step(report, model, batch, state))
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, model.templates))
    compare_trace(report, model, batch, state)


def prompts(case: Case) -> dict[str, Any]:
    """The case's lengths, depths and words, as fields of the methods."""
    hyper, backbone = case.hyper, case.backbone
    found = {
        "n_ctx_text": hyper["n_ctx_text"],
        "n_ctx_image": hyper["n_ctx_vision"],
        # The official code ignores layers beyond those of the towers.
        "depth_text": min(hyper["prompt_depth_text"], backbone.text_depth),
        "depth_image": min(hyper["prompt_depth_vision"], backbone.image_depth) if backbone.has_vit else 0,
    }
    return {**found, "words": (hyper.get("ctx_init") or "") if found["n_ctx_text"] <= MOST_WORDS else ""}
