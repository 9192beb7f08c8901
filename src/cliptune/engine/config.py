"""How a run is trained: what the papers call the optimiser's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cliptune import checks

#: Processes that read pictures: machines have fewer cores.
MAX_WORKERS = 1024


@dataclass(frozen=True)
class TrainConfig:
    """SGD with momentum, one warm-up epoch at a tiny rate, then a cosine; a step a batch."""

    epochs: int = 10
    lr: float = 0.002
    """Base learning rate."""
    batch_size: int = 32
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum (the family's), or AdamW with its decoupled weight decay."""
    warmup_epochs: int = 1
    warmup_lr: float = 1e-5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: Literal["crop", "flip", "none", "coop-2021"] = "crop"
    """Random resized crop and flip (the papers'), flip alone, or the evaluation view; coop-2021: CoOp's views before
    October 2021, in testing as well."""
    keep: Literal["last", "best"] = "last"
    """The model of the last epoch, or of the best one on the validation shots."""
    cached_views: int = 0
    """For text-only methods: image features of this many fixed views an image, computed once; 0 draws new views each
    epoch."""
    workers: int = 0
    """Processes that read pictures."""

    def __post_init__(self):
        checks.at_least(self, 0, "epochs", "warmup_epochs", "cached_views", "warmup_lr", "momentum", "weight_decay")
        checks.at_least(self, 1, "batch_size")
        checks.between(self, 0, MAX_WORKERS, "workers")
        checks.positive(self, "lr")
