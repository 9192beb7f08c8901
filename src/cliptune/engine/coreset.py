"""A part of the training pictures, chosen once before training from what the untrained model says of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from cliptune import coresets, plain_values
from cliptune.coresets import Selection, Signals
from cliptune.engine.config import TrainConfig
from cliptune.engine.evaluate import encoder_inputs
from cliptune.engine.fit import fit
from cliptune.files import read_text, write_json
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Example, Task

#: Epochs of the training that `forgetting` watches before the one that counts.
FORGETTING_EPOCHS = 5
#: The selector that needs it, and those that ask nothing of the model.
FORGETTING, MODEL_FREE = "forgetting", ("uniform", "full")


def select_coreset(
    fresh: Callable[[], TunedModel],
    task: Task,
    fraction: float,
    selector: str,
    variant: coresets.Variant,
    training: TrainConfig,
    fabric: Fabric,
) -> Task:
    """The task with `fraction` of the training pictures of each class, weighted where the selector weighs them.

    fresh: makes the untrained model, prompts and all. selector: a name of `selection`, with its options after commas
    ("uncertainty,measure=entropy"); its chance comes from the task's seed.
    """
    if fraction == 1:
        return task
    name, options = coresets.parse_selector(selector)
    known = name.replace("-", "_").lower()
    if known == FORGETTING:
        held = Signals(correct=correctness_history(fresh(), task, training, fabric))
    else:
        held = Signals() if known in MODEL_FREE else compute_signals(fresh(), task, training)
    labels = torch.tensor([e.label for e in task.train])
    chosen = coresets.select(name, held, labels, fraction, balanced=True, seed=task.seed, variant=variant, **options)
    return replace(task, train=weighted_examples(task.train, chosen))


def uses_validation(selector: str) -> bool:
    """Whether a selector compares with validation images where there are some."""
    name, options = coresets.parse_selector(selector)
    known = name.replace("-", "_").lower()
    return known == "glister" or (known == "gradmatch" and bool(options.get("validation")))


def weighted_examples(pool: Sequence[Example], chosen: Selection) -> tuple[Example, ...]:
    """The chosen examples of a pool, in its order, with their weights."""
    weights = [1.0] * len(chosen.indices) if chosen.weights is None else chosen.weights.tolist()
    return tuple(replace(pool[i], weight=w) for i, w in zip(chosen.indices.tolist(), weights, strict=True))


def compute_signals(model: TunedModel, task: Task, training: TrainConfig) -> Signals:
    """What the model says of the training and validation pictures, each as it is tested, on the processor."""
    model.eval()
    features, text, logits = predict(model, task, task.train, training)
    held = Signals(features, text, logits, model.backbone.logit_scale.detach().float().cpu())
    if not task.val:
        return held
    features, _, logits = predict(model, task, task.val, training)
    labels = torch.tensor([e.label for e in task.val])
    return replace(held, val_features=features, val_labels=labels, val_logits=logits)


@torch.no_grad()
def predict(
    model: TunedModel, task: Task, examples: Sequence[Example], training: TrainConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Image features `(n, d)`, class features `(C, d)` and logits `(n, C)`; where sentences depend on the picture, the
    class features are the mean over the pictures."""
    features, logits = [], []
    text, count = torch.zeros(()), 0
    for view in encoder_inputs(model, task.dataset, examples, preset=training.augment, workers=training.workers):
        out = model({"image": view})
        features.append(out.image["image"].float().cpu())
        logits.append(out.logits[:, : len(model.classnames)].float().cpu())
        each = out.text.float().cpu()
        text, count = (each, 1) if each.ndim == 2 else (text + each.sum(0), count + len(each))
    return torch.cat(features), torch.nn.functional.normalize(text / count, dim=-1), torch.cat(logits)


def correctness_history(model: TunedModel, task: Task, training: TrainConfig, fabric: Fabric) -> Tensor:
    """`(1 + WATCHED, n)`: whether each training picture is classified rightly, before and after each epoch of a short
    training on all of them."""
    labels = torch.tensor([e.label for e in task.train])

    def right() -> Tensor:
        return predict(model.eval(), task, task.train, training)[2].argmax(1) == labels

    rows = [right()]

    def look(_: int) -> dict[str, float]:
        rows.append(right())
        return {}

    fit(model, task, replace(training, epochs=FORGETTING_EPOCHS, keep="last"), fabric=fabric, after=look)
    return torch.stack(rows)


def write_coreset(path: Path, run: str, task: Task) -> None:
    """Keep which pictures train, with their weights, as chosen for the run of that fingerprint."""
    write_json(path, {"run": run, "pictures": [[e.key, e.weight] for e in task.train]})


def read_coreset(path: Path, run: str, task: Task) -> Task | None:
    """`task` with the pictures that `write` kept; None where nothing was kept for that run."""
    try:
        content = plain_values.from_json(read_text(path))
        held = {key: float(weight) for key, weight in content["pictures"]} if content["run"] == run else None
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    pool = {e.key for e in task.train}
    if not held or not held.keys() <= pool or not all(0 < weight < math.inf for weight in held.values()):
        return None
    return replace(task, train=tuple(replace(e, weight=held[e.key]) for e in task.train if e.key in held))
