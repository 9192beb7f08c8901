"""The learner of a case: initialised as recorded, with gradients compared by their official names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cliptune.engine.config import TrainConfig
from cliptune.model.method import Method
from cliptune.model.tuned_model import TunedModel
from cliptune.official.tensor_names import official_names
from golden.case import Case, Unsound
from golden.compare import Report


def tuned(
    case: Case, report: Report, method: Method, templates: Sequence[str] = ("a photo of a {}.",), **more: Any
) -> TunedModel:
    """The case's model with its learner initialised as recorded.

    What was recorded right after the official construction is compared with the library's construction; everything else
    is loaded. A parameter without a recorded value, or the other way round, is a problem, unless it is `unused`. more:
    Arguments of the model.
    """
    model = TunedModel(case.backbone, method, case.classnames, templates, **more).to(case.device).train()
    parameters = official_names(model.learner)
    for name, parameter in parameters.items():
        report.tensor(f"init.{name}", parameter)
        if isinstance(case.json.get("parameters", {}).get(f"param.{name}"), str):  # initialised from words
            report.tensor(f"param.{name}", parameter)
    for name in (case.parameters.keys() ^ parameters.keys()) - unused(case, parameters):
        where = "recorded" if name in case.parameters else "of the library's learner"
        report.problem(f"parameter {name} is {where} alone")
    with torch.no_grad():
        for name in case.parameters.keys() & parameters.keys():
            value = case.parameters[name]
            want, got = list(value.shape), list(parameters[name].shape)
            if want != got:
                raise Unsound(f"{name} is recorded as {want}, the library's learner has {got}")
            parameters[name].copy_(value)
    report.used(f"param.{name}" for name in case.parameters)
    return model


def unused(case: Case, parameters: Mapping[str, Tensor]) -> set[str]:
    """Names of recorded parameters that no loss depends on and the library's learner does not have."""
    return set(case.json.get("no_gradient", ())) - parameters.keys()


def gradients(report: Report, model: TunedModel, prefix: str = "") -> None:
    """Compare the learner's current gradients with `grad.<prefix>NAME`, its samples and its norm."""
    for name, parameter in official_names(model.learner).items():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        key = f"{prefix}{name}"
        report.tensor(f"grad.{key}", gradient)
        report.tensor(f"grad_norm.{key}", gradient.double().norm())
        if report.wants(f"grad_sample.{key}"):
            report.tensor(f"grad_sample.{key}", _sample(gradient, len(report.case.tensors[f"grad_sample.{key}"])))


def _sample(x: Tensor, n: int) -> Tensor:
    """`x` at the flat indices `i * (numel // n)`."""
    return x.flatten()[torch.arange(n) * (x.numel() // n)]


def trace_settings(case: Case) -> TrainConfig:
    """Optimizer, learning rate and schedule of the recorded trace, from its description."""
    trace = case.json["trace"]
    text = trace["optimizer"]
    kind = re.match(r"(sgd|adamw|adam)\b", text.lower())
    words = {"lr": "lr", "momentum": "momentum", "weight_decay": "weight_decay", "eps": "eps"}
    found = {name: re.search(rf"\b{word} ([\d.e+-]+)", text) for name, word in words.items()}
    cosine = re.search(r"cosine per step to ([\d.e+-]+) over (\d+) steps", text)
    numbers: dict[str, Any] = {name: float(match[1]) for name, match in found.items() if match}
    if kind is None or "lr" not in numbers or "weight_decay" not in numbers or ("cosine" in text) != bool(cosine):
        raise Unsound(f"the trace's optimizer is not understood: {text!r}")
    if cosine:
        numbers |= {"schedule": "step", "min_lr": float(cosine[1]), "steps": int(cosine[2])}
    return TrainConfig(**{"optimizer": kind[1], "warmup_epochs": 0, "steps": trace["steps"], **numbers})
