"""CLIP-LoRA: low-rank terms without dropout, with dropout by recorded masks, and merged into the weights."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from cliptune.adapters.low_rank import LowRankTerms
from cliptune.methods.clip_lora import ClipLora
from cliptune.model.tuned_model import TunedModel
from cliptune.official.tensor_names import LORA_MODULES
from cliptune.types import Batch, State
from golden.case import Case
from golden.compare import Report
from golden.learned import tuned
from golden.training import batch_of, compare_outputs, compare_step, compare_tokens, compare_trace

METHODS = ("CLIP-LoRA",)


def check(case: Case, report: Report) -> None:
    method, template = lora(case), case.hyper["template"]
    model, batch, state = tuned(case, report, method, [template]), batch_of(report), State(0, 1)
    learner = cast(LowRankTerms, model.learner)
    learner.dropout = 0.0
    compare_outputs(report, compare_step(report, model, batch, state))
    compare_tokens(report, method.class_prompts(case.backbone, case.classnames, [template]))
    _compare_dropout(report, model, batch, state)
    _compare_merged(report, model, batch)
    compare_trace(report, model.train(), batch, state)


def lora(case: Case) -> ClipLora:
    """The method with the case's hyper-parameters."""
    hyper = case.hyper
    encoder: Any = {"vision": "image"}.get(hyper["encoder"], hyper["encoder"])
    return ClipLora(
        hyper["r"],
        float(hyper["alpha"]),
        hyper["dropout_rate"],
        tuple(hyper["params"]),
        encoder,
        hyper["position"],
        hyper["template"],
        float(hyper["logit_scale"]),
    )


def _compare_dropout(report: Report, model: TunedModel, batch: Batch, state: State) -> None:
    """Compare a step with the recorded dropout masks."""
    case, learner = report.case, cast(LowRankTerms, model.learner)
    recipe = case.json["dropout"]
    sizes = {"text": (77, len(case.classnames), case.backbone.text_width)}
    sizes["image"] = (1 + case.backbone.patch_grid[0] * case.backbone.patch_grid[1], len(batch.images), 0)
    sizes["image"] = (*sizes["image"][:2], case.backbone.image_width)
    ends = model.class_text.text.pool_index

    def masked(tower: str, block: int, layer: str, start: int = 0):
        path = f"{'visual.' if tower == 'image' else ''}transformer.resblocks.{block}.{LORA_MODULES[layer]}"
        if path not in recipe["modules"]:
            raise KeyError(path)
        keep = case.generator.integers(recipe["seed"], f"dropout.{path}", sizes[tower], 4) > 0
        mask = (torch.from_numpy(keep).transpose(0, 1) / (1 - recipe["rate"])).to(case.device)  # batch first

        def drop(x: Tensor) -> Tensor:
            if tower == "image":
                return x * (mask[:, 0] if x.ndim == 2 else mask[:, : x.shape[1]])
            if len(x) == len(ends):  # pooled tokens in the last block
                own = mask[torch.arange(len(ends)), ends]
                return x * (own if x.ndim == 2 else own[:, None])
            return x * torch.cat([rows[: end + 1] for rows, end in zip(mask, ends, strict=True)])

        return drop

    learner.dropout, learner.input_dropout = recipe["rate"], masked
    out = compare_step(report, model, batch, state, "dropout.")
    report.tensor("dropout.image_features", out.image["image"])
    report.tensor("dropout.text_features", out.text)
    report.tensor("dropout.logits", out.logits)
    del learner.input_dropout
    learner.dropout = 0.0


@torch.no_grad()
def _compare_merged(report: Report, model: TunedModel, batch: Batch) -> None:
    """Compare cosines in evaluation, where terms are merged, of trained and novel names."""
    case, scale = report.case, report.case.hyper["logit_scale"]
    views = model.method.views(batch)
    report.tensor("eval.cosines", model.eval()(views).logits / scale)
    novel = model.with_classes(case.json["novel_class_names"])
    report.tensor("eval.novel_cosines", novel(views).logits / scale)
    for name in case.tensors:
        first, _, path = name.partition(".")
        if first == "merged_weight_sample":
            weight = _merged_weight(model, path).flatten()
            report.tensor(name, weight[:: len(weight) // 256][:256])


def _merged_weight(model: TunedModel, path: str) -> Tensor:
    """The weight of a module of the release, with its term."""
    prompts = model.prompts()
    change: Any = prompts.image_change if path.startswith("visual.") else prompts.text_change
    block = change.blocks[int(path.split("resblocks.")[1].split(".")[0])].block
    layer = next(own for own, module in LORA_MODULES.items() if path.endswith(module))
    weights = dict(zip("qkv", block.qkv.weight.chunk(3), strict=True)) | {"o": block.out.weight}
    return weights[layer]
