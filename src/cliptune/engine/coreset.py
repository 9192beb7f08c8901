"""Coreset of a run: the training images that a selector chooses from the outputs of the untrained model."""

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

#: The selector that needs a preliminary training run, and the epochs of that run.
FORGETTING, FORGETTING_EPOCHS = "forgetting", 5
#: Selectors that use no output of the model.
MODEL_FREE = ("uniform", "full")


def select_coreset(
    make_model: Callable[[], TunedModel],
    task: Task,
    fraction: float,
    selector: str,
    variant: coresets.Variant,
    training: TrainConfig,
    fabric: Fabric,
) -> Task:
    """The task with `fraction` of the training images of each class, with weights if the selector computes any.

    Args:
        make_model: Returns the untrained model.
        selector: Name of a coreset method, with options after commas ("uncertainty,measure=entropy"). Methods that
            draw images use the task's seed.
    """
    if fraction == 1:
        return task
    name, options = coresets.parse_selector(selector)
    known = name.replace("-", "_").lower()
    if known == FORGETTING:
        signals = Signals(correct=correctness_history(make_model(), task, training, fabric))
    else:
        signals = Signals() if known in MODEL_FREE else compute_signals(make_model(), task, training)
    labels = torch.tensor([e.label for e in task.train])
    selection = coresets.select(
        name, signals, labels, fraction, balanced=True, seed=task.seed, variant=variant, **options
    )
    return replace(task, train=weighted_examples(task.train, selection))


def uses_validation(selector: str) -> bool:
    """Whether a selector uses validation images if the data has any."""
    name, options = coresets.parse_selector(selector)
    known = name.replace("-", "_").lower()
    return known == "glister" or (known == "gradmatch" and bool(options.get("validation")))


def weighted_examples(pool: Sequence[Example], selection: Selection) -> tuple[Example, ...]:
    """The selected examples of a pool, in its order, with their weights."""
    weights = [1.0] * len(selection.indices) if selection.weights is None else selection.weights.tolist()
    return tuple(replace(pool[i], weight=w) for i, w in zip(selection.indices.tolist(), weights, strict=True))


def compute_signals(model: TunedModel, task: Task, training: TrainConfig) -> Signals:
    """Outputs of a model for the evaluation views of the training and validation images, on the CPU."""
    model.eval()
    features, text, logits = predict_features(model, task, task.train, training)
    signals = Signals(features, text, logits, model.backbone.logit_scale.detach().float().cpu())
    if not task.val:
        return signals
    features, _, logits = predict_features(model, task, task.val, training)
    labels = torch.tensor([e.label for e in task.val])
    return replace(signals, val_features=features, val_labels=labels, val_logits=logits)


@torch.no_grad()
def predict_features(
    model: TunedModel, task: Task, examples: Sequence[Example], training: TrainConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Image features `(n, d)`, class features `(C, d)` and logits `(n, C)`.

    If text features depend on the image, the class features are their normalised mean over the images.
    """
    features, logits = [], []
    text, count = torch.zeros(()), 0
    for view in encoder_inputs(model, task.dataset, examples, preset=training.augment, workers=training.workers):
        out = model({"image": view})
        features.append(out.image["image"].float().cpu())
        logits.append(out.logits[:, : len(model.classnames)].float().cpu())
        batch = out.text.float().cpu()
        text, count = (batch, 1) if batch.ndim == 2 else (text + batch.sum(0), count + len(batch))
    return torch.cat(features), torch.nn.functional.normalize(text / count, dim=-1), torch.cat(logits)


def correctness_history(model: TunedModel, task: Task, training: TrainConfig, fabric: Fabric) -> Tensor:
    """Whether each training image is classified correctly, `(1 + FORGETTING_EPOCHS, n)`: before and after each epoch of
    a short training run on all images."""
    labels = torch.tensor([e.label for e in task.train])

    def correct() -> Tensor:
        return predict_features(model.eval(), task, task.train, training)[2].argmax(1) == labels

    rows = [correct()]

    def after_epoch(_: int) -> dict[str, float]:
        rows.append(correct())
        return {}

    short = replace(training.for_stage(FORGETTING_EPOCHS, 1), keep="last")
    fit(model, task, short, fabric=fabric, after_epoch=after_epoch)
    return torch.stack(rows)


def write_coreset(path: Path, fingerprint: str, task: Task) -> None:
    """Write the training images of a task and their weights, as selected for the run of that fingerprint."""
    # "pictures" is the key in files of all versions.
    write_json(path, {"run": fingerprint, "pictures": [[e.key, e.weight] for e in task.train]})


def read_coreset(path: Path, fingerprint: str | None, task: Task) -> Task | None:
    """`task` with the training images in a file of `write_coreset`; None if the file is missing, damaged, or of another
    run or other images. fingerprint: None accepts the file of any run, as the data of a moved run has another path."""
    try:
        content = plain_values.from_json(read_text(path))
        if fingerprint not in (None, content["run"]):
            return None
        weights = {key: float(weight) for key, weight in content["pictures"]}
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    pool = {e.key for e in task.train}
    if not weights or not weights.keys() <= pool or not all(0 < weight < math.inf for weight in weights.values()):
        return None
    return replace(task, train=tuple(replace(e, weight=weights[e.key]) for e in task.train if e.key in weights))
