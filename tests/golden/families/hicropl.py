"""HiCroPL: the released code, whose prompts change at every pass, and the mapping that trains."""

from __future__ import annotations

import copy

import torch

from cliptune.methods.hicropl import HiCroPl
from cliptune.model.tuned_model import TunedModel
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.families.cupl import descriptions
from golden.learned import tuned
from golden.training import batch_of, compare_step, compare_tokens, compare_trace

METHODS = ("HiCroPL",)


def check(case: Case, report: Report) -> None:
    hyper, state, batch = case.hyper, State(0, 1), batch_of(report)
    fields = {"n_ctx": hyper["n_ctx"], "depth": hyper["prompt_depth"], "cross_layer": hyper["cross_layer"]}
    fields |= {"words": hyper["ctx_init"] or "", "weight": hyper["weight"]}
    with descriptions(case) as path:
        released = tuned(case, report, HiCroPl(**fields, descriptions=path, compat="release"))
        start = copy.deepcopy(released.learner.state_dict())
        _compare_passes(report, released)
        released.learner.load_state_dict(start)
        compare_step(report, released.train(), batch, state)
        released.learner.load_state_dict(start)
        compare_trace(report, released, batch, state)
        intended = tuned(case, report, HiCroPl(**fields, descriptions=path))
        out = compare_step(report, intended, batch, state, "intended.")
        report.tensor("intended.logits", out.logits)
        report.tensor("description_features", out.prompts.parts["descriptions"])
        compare_tokens(report, intended.class_text.text)


@torch.no_grad()
def _compare_passes(report: Report, model: TunedModel) -> None:
    """Compare two consecutive evaluation passes."""
    model.eval()
    for number in (1, 2):
        out = model({"image": report.case.images})
        report.tensor(f"pass{number}.logits", out.logits)
        for i, tokens in enumerate(out.prompts.image):
            report.tensor(f"pass{number}.visual_prompt.{i}", tokens)  # type: ignore[arg-type]
        for i, tokens in enumerate((out.prompts.text, *out.prompts.text_deep)):
            report.tensor(f"pass{number}.text_prompt.{i}", tokens)  # type: ignore[arg-type]
