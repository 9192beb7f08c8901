"""Zero-shot CLIP: one template per dataset, or the ensemble."""

from __future__ import annotations

import torch

from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.methods.zeroshot import ZeroShot
from golden.case import Case, Unsound
from golden.compare import Report
from golden.learned import tuned
from golden.training import compare_outputs, compare_tokens

METHODS = ("zero-shot CLIP",)


def check(case: Case, report: Report) -> None:
    templates = case.json.get("templates") or [_dataset_template(case)]
    # The official list of an ensemble ends with the dataset's own template, unless the ensemble has it already.
    method = ZeroShot("seven" if case.hyper.get("ensemble") else "single")
    model = tuned(case, report, method, templates[-1:]).eval()
    with torch.no_grad():
        compare_outputs(report, model({"image": case.images}))
        sentences = method.class_prompts(case.backbone, case.classnames, templates[-1:])
        if report.wants("text_features_raw"):
            report.tensor("text_features_raw", case.backbone.encode_text(sentences))
        if report.wants("image_features_raw"):
            report.tensor("image_features_raw", case.backbone.encode_image(case.images))
    compare_tokens(report, _template_first(sentences))


def _template_first(sentences: TokenizedText) -> TokenizedText:
    """Reorder from the library's order (classes, templates) to the recorded one (templates, classes)."""
    order = torch.arange(len(sentences)).unflatten(0, (-1, sentences.per_class)).T.flatten()
    return TokenizedText(sentences.ids[order], sentences.slots[order], sentences.pool_index[order])


def _dataset_template(case: Case) -> str:
    try:
        return case.strings()["zero_shot_by_dataset"][case.hyper["dataset"]]
    except KeyError as missing:
        raise Unsound(f"no template is recorded, and prompt_strings.json has none ({missing})") from None
