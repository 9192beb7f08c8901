"""Training options: the optimiser, its schedule and the augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cliptune import checks

#: Limit on data loading processes.
MAX_WORKERS = 1024


@dataclass(frozen=True)
class TrainConfig:
    """Training options: by default SGD with momentum, one warm-up epoch and then a cosine schedule per epoch."""

    epochs: int = 10
    """Number of training epochs."""
    lr: float = 0.002
    """Base learning rate."""
    batch_size: int = 32
    """Images per batch."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, as in the papers, or AdamW with its decoupled weight decay."""
    warmup_epochs: int = 1
    """Epochs at the constant rate warmup_lr before the schedule starts."""
    warmup_lr: float = 1e-5
    """Learning rate of the warm-up epochs."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 5e-4
    """Weight decay of all trainable parameters."""
    augment: Literal["crop", "flip", "none", "coop-2021"] = "crop"
    """crop: random resized crop and flip, as in the papers; flip: flip only; none: the evaluation view; coop-2021: the
    views of CoOp before October 2021, in testing as well."""
    keep: Literal["last", "best"] = "last"
    """Keep the model of the last epoch, or that of the best epoch on the validation images."""
    cached_views: int = 0
    """For methods that do not change the image tower: train on the features of this many fixed views per image,
    computed once. 0 draws new views in each epoch."""
    workers: int = 0
    """Data loading processes."""

    def __post_init__(self):
        checks.at_least(self, 0, "epochs", "warmup_epochs", "cached_views", "warmup_lr", "momentum", "weight_decay")
        checks.at_least(self, 1, "batch_size")
        checks.between(self, 0, MAX_WORKERS, "workers")
        checks.positive(self, "lr")
