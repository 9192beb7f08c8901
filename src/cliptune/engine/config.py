"""Settings of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cliptune import checks

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
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, or AdamW with decoupled weight decay."""
    warmup_epochs: int = 1
    warmup_lr: float = 1e-5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: Literal["crop", "flip", "none", "coop-2021"] = "crop"
    """crop: random resized crop and flip, as in the papers; flip: flip only; none: the evaluation view; coop-2021: the
    views of CoOp before October 2021, also for evaluation."""
    keep: Literal["last", "best"] = "last"
    """Keep the model of the last epoch, or of the epoch with the best validation accuracy."""
    cached_views: int = 0
    """For text-only methods: train on image features of this many fixed views per image, computed once; 0 draws new
    views in each epoch."""
    workers: int = 0
    """Worker processes that read images; 0 reads in threads of the main process."""

    def __post_init__(self):
        checks.at_least(self, 0, "epochs", "warmup_epochs", "cached_views", "warmup_lr", "momentum", "weight_decay")
        checks.at_least(self, 1, "batch_size")
        checks.between(self, 0, MAX_WORKERS, "workers")
        checks.positive(self, "lr")
