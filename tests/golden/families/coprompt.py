"""CoPrompt: two views, a sentence per class, adapters of both towers, and other class names."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from cliptune.methods.coprompt import CoPrompt
from cliptune.model.descriptions import SentenceTeacher
from cliptune.model.tuned_model import TunedModel
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.families.cupl import descriptions
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace, padded

METHODS = ("CoPrompt",)


@dataclass(frozen=True)
class FixedSentence(SentenceTeacher):
    """A teacher that always takes the sentence of one index."""

    index: int = 0

    def share(self, state: State) -> float:
        return (self.index + 0.5) / len(self.sentences[0])


def check(case: Case, report: Report) -> None:
    hyper = case.hyper
    method = CoPrompt(
        hyper["n_ctx"],
        hyper["prompt_depth"],
        hyper["ctx_init"] or "",
        weight=hyper["weight"],
        distance=hyper["distance"],
        image_ratio=hyper["image_share"],
        text_ratio=hyper["text_share"],
    )
    model = tuned(case, report, method)
    with descriptions(case) as path:
        own = SentenceTeacher.of(case.backbone, path, case.classnames, model.templates[0])
    teacher = FixedSentence(own.backbone, own.sentences, index=hyper["sentence_index"])
    batch, state = replace(batch_of(report), second_view=case.input("image.second")), State(0, 1, teacher)
    out = compare_step(report, model, batch, state)
    compare_outputs(report, out)
    with torch.no_grad():
        report.tensor("image_features_raw", case.backbone.encode_image(batch.images, out.prompts))
        report.tensor("text_features_raw", case.backbone.encode_text(model.class_text.text, out.prompts))
    report.tensor("description_features", torch.stack(teacher.sentences, 1))
    report.tensor("teacher_text_features", teacher.text(state))
    report.tensor("teacher_image_features", teacher.image(batch.second_view))
    with torch.no_grad():
        losses = replace(method, weight=1.0).losses(out, batch, state)
    report.tensor("ce_loss", losses["ce"])
    report.tensor("consistency_loss", losses["consistency"])
    compare_tokens(report, model.class_text.text)
    _compare_novel(report, model)
    compare_trace(report, model, batch, state)


@torch.no_grad()
def _compare_novel(report: Report, model: TunedModel) -> None:
    """Compare the model for other class names."""
    other = model.with_classes(report.case.json["novel_class_names"]).eval()
    report.tensor("eval.logits_novel", other({"image": report.case.images}).logits)
    ids = padded(other.class_text.text.ids, report.case.backbone.context_length)
    report.tensor("novel.tokens", ids)
    tokenized = report.case.backbone.tokenize(report.case.json["novel_prompts"])
    report.value("novel_prompts", ids.tolist(), padded(tokenized.ids, report.case.backbone.context_length).tolist())
