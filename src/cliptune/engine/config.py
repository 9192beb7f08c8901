"""Settings of training."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from cliptune import checks
from cliptune.errors import UserError

#: Upper limit of worker processes.
MAX_WORKERS = 1024
#: Settings that records contain even at their default. Newer ones are omitted then, so that fingerprints of earlier
#: runs stay valid.
RECORDED_AT_DEFAULT = (
    "epochs",
    "lr",
    "batch_size",
    "optimizer",
    "warmup_epochs",
    "warmup_lr",
    "momentum",
    "weight_decay",
    "augment",
    "keep",
    "cached_views",
    "workers",
)


@dataclass(frozen=True)
class TrainConfig:
    """SGD with momentum, one warm-up epoch at a small constant rate, then a cosine schedule; one step per batch."""

    epochs: int = 10
    lr: float = 0.002
    """Base learning rate."""
    batch_size: int = 32
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """SGD with momentum, Adam with weight decay added to the gradient, or AdamW with decoupled weight decay."""
    warmup_epochs: int = 1
    warmup_lr: float = 1e-5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: Literal["crop", "flip", "none", "coop-2021", "randaugment"] = "crop"
    """crop: random resized crop and flip, as in the papers; flip: flip only; none: the evaluation view; coop-2021: the
    views of CoOp before October 2021, also for evaluation; randaugment: two random operations on the whole image."""
    keep: Literal["last", "best"] = "last"
    """Keep the model of the last epoch, or of the epoch with the best validation accuracy."""
    cached_views: int = 0
    """For text-only methods: train on image features of this many fixed views per image, computed once; 0 draws new
    views in each epoch."""
    workers: int = 0
    """Worker processes that read images; 0 reads in threads of the main process."""
    eps: float = 1e-8
    """Added to the denominator by Adam and AdamW."""
    schedule: Literal["epoch", "step"] = "epoch"
    """Whether the cosine schedule sets the learning rate per epoch or per step."""
    min_lr: float = 0.0
    """Learning rate at the end of the cosine schedule."""
    steps: int = 0
    """Train for this many steps instead of epochs; 0 for epochs. The last epoch ends early if needed."""
    steps_per_shot: int = 0
    """Train for this many steps times the shots; with shots=0, times the mean number of training images per class. 0
    for steps or epochs."""
    min_steps: int = 0
    """Smallest number of steps: with few images, there are more epochs, and a warning gives their number. Without
    effect if steps or steps_per_shot is set."""
    crop_scale: float = 0.08
    """For augment=crop: the smallest share of the image's area that a random resized crop takes."""

    def __post_init__(self):
        checks.at_least(self, 0, "epochs", "warmup_epochs", "cached_views", "warmup_lr", "momentum", "weight_decay")
        checks.at_least(self, 0, "min_lr", "steps", "steps_per_shot", "min_steps")
        checks.at_least(self, 1, "batch_size")
        checks.between(self, 0, MAX_WORKERS, "workers")
        checks.positive(self, "lr", "eps", "crop_scale")
        if self.min_lr > self.lr:
            raise UserError(f"min_lr must be at most lr={self.lr}, got {self.min_lr}")
        if self.steps and self.steps_per_shot:
            raise UserError(f"steps={self.steps} and steps_per_shot={self.steps_per_shot} exclude each other; set one")
        if self.crop_scale >= 1:
            raise UserError(f"crop_scale must be below 1, got {self.crop_scale}; augment=flip takes the whole image")

    def for_shots(self, shots: float) -> TrainConfig:
        """The settings with `steps` in place of `steps_per_shot`."""
        if not self.steps_per_shot:
            return self
        return replace(self, steps=max(1, round(self.steps_per_shot * shots)), steps_per_shot=0)

    def for_stage(self, epochs: int | None, share: float) -> TrainConfig:
        """The settings of a training stage: its own number of `epochs` if it has one, otherwise a `share` of the run's
        epochs or steps."""
        if epochs is not None:
            return replace(self, epochs=epochs, steps=0, steps_per_shot=0, min_steps=0)
        if share == 1:
            return self
        names = ("steps",) if self.steps else ("epochs", "min_steps")
        wholes = {name: getattr(self, name) for name in names}
        return replace(self, **{name: max(1, round(share * n)) if n else 0 for name, n in wholes.items()})

    def count_epochs(self, steps: int) -> int:
        """The number of epochs if each has that many steps."""
        if self.steps:
            return math.ceil(self.steps / steps)
        return max(self.epochs, math.ceil(self.min_steps / steps)) if self.epochs else 0
