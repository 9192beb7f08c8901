"""Tip-Adapter-F: a cache of training images with trained keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cliptune.methods.tip_adapter import TipAdapter, search_hyperparameters, validation_features
from cliptune.model.method import Method
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True)
class TipAdapterF(Method):
    """Tip-Adapter with cached keys that are fine-tuned with cross-entropy; their labels are fixed.

    Zhang et al., Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, ECCV 2022,
    https://arxiv.org/abs/2207.09519, section 3.2. Checked against Tip-Adapter 327763e, which keeps
    the epoch that is best on the test images; here test images decide nothing. With `search`, alpha and beta are chosen
    after the last epoch.
    """

    alpha: float = 1.0
    """Weight of the cache logits."""
    beta: float = 5.5
    """Sharpness of the similarity."""
    crops: int = 10
    """Number of random crops whose mean feature initialises the key of an image; 0 uses the evaluation transform."""
    search: bool = False
    """Choose alpha and beta on the validation images, as the authors do for their results."""

    def __post_init__(self):
        _ = self.untrained  # validates the fields

    @property
    def untrained(self) -> TipAdapter:
        """Tip-Adapter with the same cache."""
        return TipAdapter(self.alpha, self.beta, self.crops, self.search)

    @property
    def validation_use(self) -> str:  # type: ignore[override]
        return "search" if self.search else ""

    def unused_fields(self) -> dict[str, str]:
        return dict.fromkeys(("alpha", "beta"), "search chooses it") if self.search else {}

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.key_value_cache import KeyValueCache

        return KeyValueCache(classnames, backbone.embed_dim, self.alpha, self.beta, learned=True)

    def prepare(self, model: TunedModel, task: Task) -> Any:
        self.untrained.fill_cache(model, task)
        return validation_features(model, task) if self.search else None

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return self.untrained.losses(out, batch, state)

    def after_epoch(self, model: TunedModel, state: State) -> None:
        if self.search and state.epoch + 1 == state.epochs:
            search_hyperparameters(model, *state.memory)
