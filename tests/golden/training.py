"""Comparisons for every trained method: a forward pass, losses, gradients, and steps of the recorded optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.engine.optim import Schedule, make_optimizer, parameter_groups
from cliptune.model.tuned_model import TunedModel
from cliptune.official.tensor_names import official_buffers, official_names
from cliptune.types import Batch, Outputs, State
from golden.compare import BOUNDS, Report
from golden.learned import gradients, trace_settings, unused


def batch_of(report: Report) -> Batch:
    """The case's only batch, with the mask if one is recorded."""
    case = report.case
    if not report.wants("mask"):
        return Batch(case.images, case.labels)
    report.used(["mask"])
    return Batch(case.images, case.labels, torch.from_numpy(case.tensors["mask"]).float().to(case.device))


def backward(model: TunedModel, batch: Batch, state: State) -> tuple[Outputs, float]:
    """One forward and backward pass as in the training loop. Gradients stay on the learner; returns outputs, loss."""
    model.zero_grad()
    out = model(model.method.views(batch), state)
    losses = model.method.losses(out, batch, state)
    model.method.update(losses, list(model.learner.parameters()))
    return out, sum(loss.item() for loss in losses.values())


def compare_step(report: Report, model: TunedModel, batch: Batch, state: State, prefix: str = "") -> Outputs:
    """Compare the total loss and all gradients of one step, named `<prefix>loss` and `grad.<prefix>NAME`."""
    out, loss = backward(model, batch, state)
    report.tensor(f"{prefix}loss", torch.tensor(loss))
    gradients(report, model, prefix)
    return out


def compare_outputs(report: Report, out: Outputs) -> None:
    """Compare features, logits and visual prompts of a forward pass."""
    report.tensor("image_features", out.image["image"])
    report.tensor("text_features", out.text)
    report.tensor("logits", out.logits)
    for i, tokens in enumerate(out.prompts.image):
        if tokens is not None:
            report.tensor(f"visual_prompt.{i}", tokens)


def compare_tokens(report: Report, *parts: TokenizedText) -> None:
    """Compare the token ids of all sentences, zero-padded to the context, and the ids of the recorded strings."""
    length = report.case.backbone.context_length
    ids = torch.cat([padded(part.ids, length) for part in parts])
    report.tensor("tokens", ids)
    strings = [*report.case.json.get("prompts", []), *report.case.json.get("background_prompts", [])]
    if strings:
        tokenized = report.case.backbone.tokenize(strings)
        report.value("prompts", ids.tolist(), padded(tokenized.ids, length).tolist())


def compare_trace(report: Report, model: TunedModel, batch: Batch, state: State) -> None:
    """Take the recorded number of steps from the learner's current values; compare losses, norms and final tensors."""
    trace = report.case.json.get("trace")
    if not trace:
        return
    training, parameters = trace_settings(report.case), official_names(model.learner)
    recorded = parameters | {name: report.case.parameters[name] for name in unused(report.case, parameters)}
    optimizer = make_optimizer(parameter_groups(model.learner, model.method.rates()), training)
    schedule = Schedule(training, 1, trace["steps"], training.steps)
    losses, norms, rates = [], [], []
    for step in range(trace["steps"]):
        losses.append(backward(model, batch, state)[1])
        rates.append(schedule.apply(optimizer, 0, step))
        if not step:
            _compare_rates(report, optimizer, parameters)
        optimizer.step()
        norms.append(torch.stack([recorded[name].detach().double().norm().cpu() for name in trace["param_order"]]))
    for name, buffer in official_buffers(model.learner).items():  # another pass in training mode changes some
        report.tensor(f"trace.final.{name}", buffer)
    final = {name: parameter.detach().clone() for name, parameter in recorded.items()}
    losses.append(backward(model, batch, state)[1])
    report.tensor("trace.losses", torch.tensor(losses, dtype=torch.float64))
    report.tensor("trace.param_norms", torch.stack(norms))
    report.tensor("trace.lr", torch.tensor(rates, dtype=torch.float64), BOUNDS["schedule"])
    bound = BOUNDS["trace.final"]
    if training.optimizer != "sgd":  # Adam divides rounding errors of small gradients by their size
        bound = replace(bound, absolute=0.02 * training.lr)
    for name, parameter in final.items():
        report.tensor(f"trace.final.{name}", parameter, bound)


def _compare_rates(report: Report, optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]) -> None:
    """Compare the learning rate of each parameter, if they differ."""
    used = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, rate in report.case.json["trace"].get("rates", {}).items():
        report.value(f"trace.rates.{name}", used[id(parameters[name])], rate, BOUNDS["schedule"])


def padded(ids: Tensor, length: int, value: int = 0) -> Tensor:
    """`(n, t)` filled up with `value` to `(n, length)`."""
    return torch.nn.functional.pad(ids, (0, length - ids.shape[1]), value=value)
