"""TCP: tokens of each class at one block, from its frozen text feature; also for names that were not trained."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch

from cliptune.backbones.tokenized_text import format_template, underscores_to_spaces
from cliptune.data import public
from cliptune.data.templates import read_table
from cliptune.methods.tcp import Tcp
from cliptune.model.tuned_model import TunedModel
from cliptune.official.logs.names import dataset_name
from cliptune.prompts.class_aware import ClassAwareContext
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace, padded

METHODS = ("TCP",)


def check(case: Case, report: Report) -> None:
    hyper, name = case.hyper, dataset_name(case.hyper["dataset"])
    templates = read_table(Tcp.template_table).get(name, public.specs()[name].templates)
    # The release starts from these words if any are given.
    words = "a photo of a" if hyper["ctx_init"] else ""
    method = Tcp(hyper["n_ctx"], words, hyper["block"], hyper["weight"])
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # words of several tokens
        model = tuned(case, report, method, templates)
    # `prepare` uses only the model to build the teacher.
    batch, state = batch_of(report), State(0, 1, method.prepare(model, None))  # type: ignore[arg-type]
    out = compare_step(report, model, batch, state)
    compare_outputs(report, out)
    _compare_classes(report, model, "", "teacher_prompts", case.classnames)
    with torch.no_grad():
        losses = replace(method, weight=1.0).losses(out, batch, state)
    report.tensor("ce_loss", losses["ce"])
    report.tensor("pull_loss", losses["knowledge"])
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, templates))
    _compare_novel(report, model)
    compare_trace(report, model, batch, state)


def _compare_classes(report: Report, model: TunedModel, prefix: str, strings: str, names: list[str]) -> None:
    """Compare the teacher's sentences and features of class names, and the tokens made from them."""
    assert isinstance(model.method, Tcp) and isinstance(model.learner, ClassAwareContext)
    if strings in report.case.json:
        own = [format_template(model.templates[0], underscores_to_spaces(name)) for name in names]
        report.value(strings, own, report.case.json[strings])
    features = model.method.class_inputs(model)
    report.tensor(f"{prefix}teacher_text_features", features)
    report.tensor(f"{prefix}class_tokens", model.learner.class_tokens(features))


@torch.no_grad()
def _compare_novel(report: Report, model: TunedModel) -> None:
    """Compare the model for other class names."""
    names = report.case.json["novel_class_names"]
    other = model.with_classes(names).eval()
    _compare_classes(report, other, "novel.", "novel_teacher_prompts", names)
    out = other({"image": report.case.images})
    report.tensor("novel.text_features", out.text)
    report.tensor("novel.logits", out.logits)
    length = report.case.backbone.context_length
    ids = padded(other.class_text.text.ids, length)
    report.tensor("novel.tokens", ids)
    if "novel_prompts" in report.case.json:
        tokenized = report.case.backbone.tokenize(report.case.json["novel_prompts"])
        report.value("novel_prompts", ids.tolist(), padded(tokenized.ids, length).tolist())
