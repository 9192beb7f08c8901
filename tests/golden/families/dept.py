"""DePT: a linear classifier on channel-adjusted features around four methods."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch

from cliptune.backbones.tokenized_text import underscores_to_spaces
from cliptune.methods.cocoop import CoCoOp
from cliptune.methods.coop import CoOp
from cliptune.methods.dept import Dept, channel_adjusted
from cliptune.methods.kgcoop import KgCoOp
from cliptune.methods.maple import Maple
from cliptune.model.method import Method
from cliptune.model.tuned_model import TunedModel
from cliptune.objectives.shared_classifier import class_pairs
from cliptune.types import Batch, Outputs, State
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.training import batch_of, compare_step, compare_tokens, compare_trace, padded


def _kgcoop(case: Case) -> KgCoOp:
    template = case.json["teacher_prompts"][0].replace(underscores_to_spaces(case.classnames[0]), "{}")
    return KgCoOp(case.hyper["n_ctx"], case.hyper["ctx_init"], case.hyper["kg_weight"], template)


BASES: Mapping[str, Callable[[Case], Method]] = {
    "CoOp": lambda case: CoOp(case.hyper["n_ctx"], case.hyper["ctx_init"]),
    "CoCoOp": lambda case: CoCoOp(case.hyper["n_ctx"], case.hyper["ctx_init"]),
    "MaPLe": lambda case: Maple(case.hyper["n_ctx"], case.hyper["prompt_depth"], case.hyper["ctx_init"]),
    "KgCoOp": _kgcoop,
}
METHODS = tuple(f"DePT + {base}" for base in BASES)


def check(case: Case, report: Report) -> None:
    base, hyper = BASES[case.hyper["base"]](case), case.hyper
    method = Dept(base, hyper["lp_weight"], hyper["lr_factor"])
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # words and vectors differ in number
        model = tuned(case, report, method)
        sentences = method.class_prompts(case.backbone, case.classnames, model.templates)
    batch, state = batch_of(report), State(0, 1, method.prepare(model, None))  # type: ignore[arg-type]
    out = compare_step(report, model, batch, state)
    report.tensor("logits", base.logits(out))
    report.tensor("image_features_raw", out.raw_image["image"])
    assert out.raw_text is not None
    report.tensor("text_features_raw", out.raw_text)
    _compare_losses(report, method, out, batch, state)
    compare_tokens(report, sentences)
    _compare_tests(report, model.eval(), batch)
    compare_trace(report, model.train(), batch, state)


@torch.no_grad()
def _compare_losses(report: Report, method: Dept, out: Outputs, batch: Batch, state: State) -> None:
    head, (image, label) = channel_adjusted(out), class_pairs(batch)
    assert out.raw_text is not None
    text = out.raw_text[label] if out.raw_text.ndim == 2 else out.raw_text[image, label]
    report.tensor("logits_lp", torch.cat([head.text_logits(text), head.image_logits(out.raw_image["image"])]))
    report.tensor("labels_lp", torch.cat([label, batch.labels]))
    losses = method.losses(out, batch, state)
    report.tensor("ce_loss", losses["ce"] / (1 - method.linear))
    report.tensor("lp_loss", losses["linear"] / method.linear)
    if "knowledge" in losses:
        assert isinstance(method.base, KgCoOp)
        report.tensor("pull_loss", losses["knowledge"] / method.base.weight)
        report.tensor("teacher_text_features", state.memory)


@torch.no_grad()
def _compare_tests(report: Report, model: TunedModel, batch: Batch) -> None:
    """Mixed logits of the trained classes, and the method's logits of new ones."""
    novel = model.with_classes(report.case.json["novel_class_names"])
    report.tensor("eval.logits_base", model({"image": batch.images}).logits)
    report.tensor("eval.logits_novel", novel({"image": batch.images}).logits)
    report.tensor("novel.tokens", padded(novel.class_text.text.ids, report.case.backbone.context_length))
