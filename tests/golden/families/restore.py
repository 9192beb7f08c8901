"""RESTORE: MaPLe's prompts, norms relative to an earlier state, adapters, and one update of their ratios."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace

import torch

from cliptune.adapters.surgery import SurgeryLearner
from cliptune.methods.restore import Restore, deep_tokens
from cliptune.model.tuned_model import TunedModel
from cliptune.objectives.feature_shift import gram_norms
from cliptune.types import Batch, State, Task
from golden.case import Case
from golden.compare import Bound, Report
from golden.learned import official_names, tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

METHODS = ("RESTORE",)
#: Not recorded: the update follows the epoch at a third of training.
EPOCHS = 10
#: Recorded as the float32 norm of a square of the tower's width, which rounds to about 1e-5 of its value.
NORMS = Bound(1e-5, 1e-4)


def check(case: Case, report: Report) -> None:
    method = restore(case)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # more vectors than words
        model = tuned(case, report, method)
        compare_tokens(report, method.class_prompts(case.backbone, case.classnames, model.templates))
    learner, batch = model.learner, batch_of(report)
    assert isinstance(learner, SurgeryLearner)
    later = copy.deepcopy(learner.state_dict())
    with torch.no_grad():
        for name, value in case.beginnings.items():
            official_names(learner)[name].copy_(value)
    report.used(f"init_param.{name}" for name in case.beginnings)
    task = Task(case.name, None, (), (), {}, tuple(case.classnames), 0)
    state = State(0, EPOCHS, method.prepare(model, task))
    first = copy.deepcopy(learner.state_dict())
    compare_losses(report, model, batch, state, "at_init_state")
    report.tensor("init_text_gram_norms", learner.text_norms, NORMS)
    report.tensor("init_visual_gram_norms", learner.image_norms, NORMS)

    learner.load_state_dict({**later, "text_norms": first["text_norms"], "image_norms": first["image_norms"]})
    compare_outputs(report, compare_step(report, model, batch, state))
    compare_losses(report, model, batch, state)
    compare_norms_and_adapters(report, model, batch)
    compare_update(report, model, batch, state)

    learner.load_state_dict(first)
    compare_trace(report, model, batch, state)


def restore(case: Case) -> Restore:
    """The method with the case's hyper-parameters, as released."""
    hyper = case.hyper
    return Restore(
        hyper["n_ctx"],
        hyper["prompt_depth"],
        hyper["ctx_init"] or "",
        text_ratio=hyper["text_calib_r"],
        image_ratio=hyper["vis_calib_r"],
        shift="norms",
        shift_weight=hyper["fs_loss_r"],
    )


@torch.no_grad()
def compare_losses(report: Report, model: TunedModel, batch: Batch, state: State, when: str = "loss") -> None:
    """Compare the parts of the loss before weighting, and their weighted sum where it has a name of its own."""
    out = model(model.method.views(batch), state)
    method = model.method
    assert isinstance(method, Restore)
    parts = replace(method, shift_weight=1.0).losses(out, batch, state)
    shift = parts.get("shift", torch.tensor(0.0))
    report.tensor(f"ce_{when}", parts["ce"])
    report.tensor(f"reg_{when}", shift)
    report.tensor(f"loss_{when}", parts["ce"] + method.shift_weight * shift)


@torch.no_grad()
def compare_norms_and_adapters(report: Report, model: TunedModel, batch: Batch) -> None:
    """Compare norms of the deep tokens, and features before and in the adapters."""
    backbone, prompts, learner = model.backbone, model.prompts(), model.learner
    for name, tokens in zip(("text", "visual"), deep_tokens(prompts), strict=True):
        report.tensor(f"{name}_gram_norms", gram_norms(tokens), NORMS)
        report.tensor(f"current_{name}_shift", gram_norms(tokens).mean(), NORMS)
    sentences = model.method.class_prompts(backbone, model.classnames, model.templates)
    text, image = backbone.encode_text(sentences, prompts), backbone.encode_image(batch.images, prompts)
    report.tensor("text_features_raw", text)
    report.tensor("image_features_raw", image)
    for name, adapter, raw in (("text", learner.text, text), ("visual", learner.image, image)):
        whole = copy.deepcopy(adapter)  # recorded before mixing: a ratio of one
        whole.ratio.fill_(1)
        report.tensor(f"{name}_adapter_out", whole(raw))


@torch.no_grad()
def compare_update(report: Report, model: TunedModel, batch: Batch, state: State) -> None:
    """Compare both ratios before and after the epoch that updates them, and the logits after it."""
    learner = model.learner
    report.tensor("calib_before", torch.stack([learner.text.ratio, learner.image.ratio]))
    model.method.after_epoch(model, replace(state, epoch=EPOCHS // 3))
    report.tensor("calib_after", torch.stack([learner.text.ratio, learner.image.ratio]))
    report.tensor("logits_after_update_calib", model(model.method.views(batch), state).logits)
