"""CoOp: shared or class-specific context, before, around or after the name."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from cliptune.backbones.packed_sequences import PackedSequences
from cliptune.backbones.tokenized_text import TokenizedText, underscores_to_spaces
from cliptune.methods.coop import CoOp
from cliptune.model.tuned_model import TunedModel
from cliptune.types import State
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace, padded

METHODS = ("CoOp",)


def check(case: Case, report: Report) -> None:
    hyper = case.hyper
    method = CoOp(hyper["n_ctx"], hyper["ctx_init"] or "", hyper["class_token_position"], hyper["csc"])
    model = tuned(case, report, method)
    batch, state = batch_of(report), State(0, 1)
    compare_outputs(report, compare_step(report, model, batch, state))

    sentences = method.class_prompts(case.backbone, case.classnames, model.templates)
    # The official tokens, and so the position read, are those of the layout with the name at the end.
    at_end = replace(method, position="end").class_prompts(case.backbone, case.classnames, model.templates)
    compare_tokens(report, at_end)
    report.value("end", sentences.pool_index.tolist(), at_end.pool_index.tolist())
    if "name_lens" in case.json:
        lengths = [len(case.backbone.prompt_tokenizer(underscores_to_spaces(name))) - 2 for name in case.classnames]
        report.value("name_lens", lengths, case.json["name_lens"])
    if report.wants("prompt_embeddings_sample"):
        shape = case.tensors["prompt_embeddings_sample"].shape
        report.tensor("prompt_embeddings_sample", embeddings(model, sentences)[:, : shape[1], : shape[2]])
    compare_trace(report, model, batch, state)


@torch.no_grad()
def embeddings(model: TunedModel, sentences: TokenizedText) -> Tensor:
    """Layer-0 tokens `(n, context_length, width)` of whole padded sentences, without positional embeddings."""
    tower, length = model.backbone.text_tower, model.backbone.context_length
    end = torch.full_like(sentences.pool_index, length - 1)
    whole = TokenizedText(padded(sentences.ids, length), padded(sentences.slots, length, -1), end)
    whole = whole.to(model.backbone.logit_scale.device)
    tokens = tower.embed(whole, model.learner().text, PackedSequences.pack(whole, 0, 1)).unflatten(0, (-1, length))
    return tokens - tower.module.get_parameter("positional_embedding")
