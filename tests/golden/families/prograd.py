"""ProGrad: the cross-entropy's gradient without what opposes agreement with zero-shot CLIP."""

from __future__ import annotations

import re
import warnings

import torch
from torch import nn

from cliptune.engine.optim import sgd
from cliptune.methods.prograd import ProGrad
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State
from golden.case import Case, Unsound
from golden.compare import Bound, Report
from golden.learned import official_names, tuned
from golden.teacher import compare_teacher, template
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

METHODS = ("ProGrad",)
#: No bound is stated for the cosine of two gradients, which differs by more than features do.
ANGLE = Bound(1e-4)


def check(case: Case, report: Report) -> None:
    hyper, own = case.hyper, template(case)
    method = ProGrad(
        hyper["n_ctx"],
        # As released, any words mean those before the name in the teacher's template.
        own.replace(" {}.", "") if hyper["ctx_init"] else "",
        hyper.get("class_token_position", "end"),
        hyper["T"],
        hyper["lam"],
        compat="release",
    )
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # words of several tokens
        model = tuned(case, report, method, (own,))
    # `prepare` uses only the model to build the teacher.
    batch, state = batch_of(report), State(0, 1, method.prepare(model, None))  # type: ignore[arg-type]
    compare_sides(report, model, batch, state)
    out = compare_step(report, model, batch, state)
    compare_outputs(report, out)
    compare_stepped(report, model)
    compare_teacher(report, state.memory, out.image["image"], own)
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, model.templates))
    compare_trace(report, model, batch, state)


def compare_sides(report: Report, model: TunedModel, batch: Batch, state: State) -> None:
    """Compare both losses, the gradient of each, the angle between them, and whether it is above 90 degrees."""
    method, sides = model.method, {}
    for side, name in (("xe", "ce"), ("kl", "kl")):
        loss = method.losses(model(method.views(batch), state), batch, state)[name]
        report.tensor(f"{side}_loss", loss)
        parameters = official_names(model.learner)
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            report.tensor(f"grad_{side}.{parameter.rpartition('.')[2]}", gradient)
        sides[side] = torch.cat([gradient.double().flatten() for gradient in gradients])
    cosine = torch.cosine_similarity(sides["xe"], sides["kl"], 0)
    report.tensor("cosine", cosine, ANGLE)
    if "projected" in report.case.json and cosine.abs() > ANGLE.absolute:
        report.value("projected", bool(cosine < 0), report.case.json["projected"])


def compare_stepped(report: Report, model: TunedModel) -> None:
    """Compare the parameters after one step with the current gradients."""
    for name, parameter in official_names(model.learner).items():
        key = f"{name.rpartition('.')[2]}_after_step"
        if report.wants(key):
            moved = nn.Parameter(parameter.detach().clone())
            moved.grad = parameter.grad
            lr, momentum, decay = step_settings(report.case)
            sgd([moved], lr, momentum, decay).step()
            report.tensor(key, moved)


def step_settings(case: Case) -> tuple[float, float, float]:
    """Learning rate, momentum and weight decay of the one step, from its note."""
    found = [re.search(rf"\b{word} ([\d.e+-]+\d)", case.notes) for word in ("lr", "momentum", "weight decay")]
    if not all(found):
        raise Unsound(f"the settings of ctx_after_step are not understood: {case.notes!r}")
    lr, momentum, decay = (float(match[1]) for match in found if match)
    return lr, momentum, decay
