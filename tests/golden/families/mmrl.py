"""MMRL and MMRL++: mapped tokens, two image features and their logits, four losses, and evaluation."""

from __future__ import annotations

from dataclasses import replace

import torch

from cliptune.backbones.teacher import Teacher
from cliptune.methods.mmrl import Mmrl
from cliptune.methods.mmrlpp import MmrlPlusPlus
from cliptune.model.tuned_model import TunedModel
from cliptune.objectives.classification import classification_loss
from cliptune.prompts.representation_tokens import PROJECTION
from cliptune.types import Batch, Outputs, State
from golden.case import Case, Unsound
from golden.compare import Bound, Report
from golden.learned import tuned
from golden.training import batch_of, compare_step, compare_tokens, compare_trace, padded

METHODS = ("MMRL", "MMRL++")
#: Dataset in the recordings -> its template; all others have "a photo of a {}.".
TEMPLATES = {
    "OxfordPets": "a photo of a {}, a type of pet.",
    "OxfordFlowers": "a photo of a {}, a type of flower.",
    "FGVCAircraft": "a photo of a {}, a type of aircraft.",
    "DescribableTextures": "{} texture.",
    "EuroSAT": "a centered satellite photo of {}.",
    "Food101": "a photo of {}, a type of food.",
    "UCF101": "a photo of a person doing {}.",
}


def check(case: Case, report: Report) -> None:
    method = method_of(case)
    template = TEMPLATES.get(case.hyper["dataset"], "a photo of a {}.")
    model, batch = tuned(case, report, method, (template,)), batch_of(report)
    teacher = Teacher.of(case.backbone, case.classnames, model.templates)
    state = State(0, 1, teacher)
    out = compare_step(report, model, batch, state)
    _compare_forward(report, method, out, batch, state)
    compare_tokens(report, model.class_text.text)
    first = _compare_tests(report, model.eval(), batch)
    compare_trace(report, model.train(), batch, state)
    _compare_after_trace(report, model.eval(), batch, first)


def method_of(case: Case) -> Mmrl:
    """The method with the case's hyper-parameters."""
    hyper = case.hyper
    common = {
        "n_ctx": hyper["n_rep_tokens"],
        "table_width": hyper["rep_dim"],
        "layers": tuple(hyper["rep_layers"]),
        "alpha": hyper["alpha"],
        "weight": hyper["reg_weight"],
        "compat": "release",
    }
    if case.method == "MMRL":
        return Mmrl(**common)
    ranks = {"rank": hyper["res_lora_dim"], "projection_rank": hyper["proj_lora_dim"]}
    return MmrlPlusPlus(**common, **ranks, beta=hyper["beta"])


@torch.no_grad()
def _compare_forward(report: Report, method: Mmrl, out: Outputs, batch: Batch, state: State) -> None:
    prompts = out.prompts
    for name, tokens in (("visual", prompts.image), ("text", prompts.text_inserted)):
        for i, own in enumerate(x for x in tokens if x is not None):
            report.tensor(f"{name}_token.{i}", own)
    assert out.raw_text is not None
    report.tensor("image_features", out.image["image"])
    report.tensor("image_features_raw", out.raw_image["image"])
    report.tensor("text_features", out.text)
    report.tensor("text_features_raw", out.raw_text)
    report.tensor("rep_features_raw", prompts.parts[PROJECTION](out.tokens["image"]))
    report.tensor("frozen_image_features", state.memory.image(batch.images))
    report.tensor("frozen_text_features", state.memory.text)
    own, read = _branches(method, out)
    report.tensor("logits", own)
    report.tensor("logits_rep", read)
    report.tensor("logits_fusion", out.logits)
    losses = method.losses(out, batch, state)
    report.tensor("ce_loss", classification_loss(own, batch))
    report.tensor("ce_rep_loss", classification_loss(read, batch))
    if method.weight:
        report.tensor("reg_image_loss", losses["image"] / method.weight)
        report.tensor("reg_text_loss", losses["text"] / method.weight)


@torch.no_grad()
def _compare_tests(report: Report, model: TunedModel, batch: Batch) -> Outputs:
    """Mixed logits of trained names, and those of the class token for new names. Returns the outputs of the former."""
    views, case, method = {"image": batch.images}, report.case, model.method
    out = model(views)
    report.tensor("eval.logits_base", out.logits)
    novel = model.with_classes(case.json["novel_class_names"])
    new = novel(views)
    report.tensor("eval.logits_novel", new.logits)
    report.tensor("novel.text_features", new.text)
    report.tensor("novel.tokens", padded(novel.class_text.text.ids, case.backbone.context_length))
    assert isinstance(method, Mmrl)
    report.tensor("novel.logits_rep", _branches(method, new)[1])
    report.tensor(
        "novel.logits_fusion", method.logits(replace(new, prompts=replace(new.prompts, known=True, novel=False)))
    )
    return out


@torch.no_grad()
def _compare_after_trace(report: Report, model: TunedModel, batch: Batch, first: Outputs) -> None:
    """Logits of the trained model, and those of the release, which keeps tokens and class features of its first test.

    first: The outputs of that test, before the steps. Their projection is the model's own, so it has changed since.
    """
    bound = Bound(float(report.case.json["tolerances"]["after_trace_logits_atol"]))
    report.tensor("after_trace.logits_base", model({"image": batch.images}).logits, bound)
    report.tensor("after_trace.release_cached.logits_base", model.method.logits(first), bound)


def _branches(method: Mmrl, out: Outputs) -> tuple[torch.Tensor, torch.Tensor]:
    own, read = method.branch_logits(out)
    if read is None:
        raise Unsound("the image tower returned no tokens")
    return own, read
