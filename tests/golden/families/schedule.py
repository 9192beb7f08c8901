"""The learning rate of every epoch, and the settings of SGD."""

from __future__ import annotations

import torch

from cliptune.engine.optim import learning_rate, sgd
from golden.case import Case
from golden.compare import BOUNDS, Report

METHODS = ("learning-rate schedule",)


def check(case: Case, report: Report) -> None:
    for i, item in enumerate(case.json["schedules"]):
        name, epochs = f"schedules[{i}]", item["max_epoch"]

        def rate(epoch: int, item: dict = item) -> float:
            return learning_rate(
                epoch,
                base=item["base_lr"],
                epochs=item["max_epoch"],
                warmup_epochs=item["warmup_epoch"],
                warmup_lr=item["cons_lr"],
                warmup=item["warmup_type"],
            )

        rates = [rate(epoch) for epoch in range(epochs)]
        report.value(f"{name}.lr_per_epoch", rates, item["lr_per_epoch"], BOUNDS["schedule"])
        if "lr_after_last_step" in item:
            report.value(f"{name}.lr_after_last_step", rate(epochs), item["lr_after_last_step"], BOUNDS["schedule"])
        defaults = sgd([torch.nn.Parameter(torch.zeros(1))], item["base_lr"]).defaults
        recorded = item.get("sgd", {})
        report.value(f"{name}.sgd", {key: defaults[key] for key in recorded}, recorded)
        settings = ("base_lr", "max_epoch", "warmup_epoch", "warmup_type", "cons_lr")
        report.all_known(name, item, *settings, "lr_per_epoch", "lr_after_last_step", "sgd")
