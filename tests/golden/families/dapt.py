"""DAPT around MaPLe as released: three views, 32 background prompts of which some compete as classes, two phases."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch

from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.methods.dapt import RELEASE_COMPETING_WORDS, Dapt
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, Outputs, State
from golden.case import Case
from golden.compare import Report
from golden.families.maple import maple
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

METHODS = ("DAPT",)
#: The release's switch does not depend on it.
EPOCHS = 10


def check(case: Case, report: Report) -> None:
    hyper = case.hyper
    method = Dapt(
        maple(case),
        pull_push=hyper["w_vd"],
        foreground=hyper["w_fg"],
        background=hyper["w_bg"],
        margin=hyper["margin"],
        compat="release",
    )
    model, batch = build(case, report, method), batch_of(report)
    for epoch in hyper["epochs"]:
        compare_step(report, model, batch, State(epoch, EPOCHS), f"epoch{epoch}.")
    compare_parts(report, model, method, batch)
    compare_trace(report, model, batch, State(int(case.note(r"trace uses epoch = (\d+)", "3")), EPOCHS))


def build(case: Case, report: Report, method: Dapt) -> TunedModel:
    """The case's model, after comparing its prompts."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # more vectors than words
        model = tuned(case, report, method)
        sentences = method.class_prompts(case.backbone, case.classnames, model.templates)
    compare_tokens(report, sentences, background(case, method))
    return model


def background(case: Case, method: Dapt) -> TokenizedText:
    """The background prompts, which have deep prompts but no learned context."""
    return case.backbone.tokenize(method.extra_prompts(None))


@torch.no_grad()
def compare_parts(report: Report, model: TunedModel, method: Dapt, batch: Batch) -> None:
    """Compare all features, logits and unweighted losses of both phases."""
    phases = {method.decoupling(state): state for state in (State(epoch, EPOCHS) for epoch in range(100))}
    unweighted = replace(method, pull_push=1.0, foreground=1.0, background=1.0)
    names = {"ce": "ce_loss", "pull_push": "loss_vd", "foreground": "loss_fg", "background": "loss_bg"}
    for state in phases.values():
        out = model(method.views(batch), state)
        for name, loss in unweighted.losses(out, batch, state).items():
            report.tensor(names[name], loss)
        compare_outputs(report, out)
        compare_logits(report, method, out)
    report.tensor("logits_eval", model.eval()({"image": batch.images}).logits)
    model.train()


def compare_logits(report: Report, method: Dapt, out: Outputs) -> None:
    """Compare the logits of the other views and columns; the base method gives plain scaled cosines."""
    foreground, backdrop = out.image["foreground"], out.image["background"]
    assert out.extra_text is not None
    report.tensor("image_features_fg", foreground)
    report.tensor("image_features_bg", backdrop)
    everything = torch.cat([out.text, out.extra_text])
    report.tensor("text_features_all", everything)
    report.tensor("logits_fg", method.logits(out, "foreground"))
    novel = method.logits(replace(out, prompts=replace(out.prompts, novel=True)))
    report.tensor("logits_forward_test", novel)
    words = replace(out, text=out.extra_text[RELEASE_COMPETING_WORDS:])
    backgrounds = method.base.logits(words, "background")
    report.tensor("logits_bg", backgrounds)
    report.tensor("pseudo_label", backgrounds.argmax(-1))
