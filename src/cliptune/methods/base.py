"""The interface of every method, and of wrappers around one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor, nn

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.sentences import Sentences, from_templates
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from cliptune.model import TunedModel


class Method(ABC):
    """What is learned and what is minimised; a leaf is a frozen dataclass whose fields are the paper's
    hyper-parameters.

    Only `learner` must be given. Nothing here knows a device, a loop or a file.
    """

    #: Whether `finish` wants the learner's state after every epoch.
    keeps_history = False

    @abstractmethod
    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        """The parameters that train; calling it gives the `Prompts` for the towers."""

    def sentences(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> Sentences:
        """One or more sentences a class; by default the dataset's own template."""
        return from_templates(backbone.encode, templates[:1], classnames)

    def phrases(self, state: State | None) -> tuple[str, ...]:
        """Sentences encoded beside the classes' at this point of training; None asks for evaluation."""
        return ()

    def views(self, batch: Batch) -> dict[str, Tensor]:
        """The images that go through the image tower, by name; "image" is the picture itself."""
        return {"image": batch.images}

    def detached(self, state: State) -> frozenset[str]:
        """Views of which no loss takes a gradient at this point: they pass the tower without an autograd graph."""
        return frozenset()

    def classify(self, image: Tensor, text: Tensor, phrases: Tensor | None, logit_scale: Tensor) -> Tensor:
        """Logits `(b, c)` from normalised features `(b, d)` and `(c, d)`: scaled cosines."""
        return logit_scale * image @ text.T

    @abstractmethod
    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        """Named scalars, already weighted; their sum is minimised."""

    def masks(self) -> str | None:
        """The mask source the method needs (`masks.get` knows them), or None."""
        return None

    def prepare(self, model: TunedModel, task: Task) -> Any:
        """Once before training: teacher features, start values. Returns what `losses` finds in `state.memory`."""
        return None

    def update(self, losses: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> None:
        """Put gradients on the parameters; by default those of the losses' sum."""
        torch.stack(list(losses.values())).sum().backward()

    def finish(self, model: TunedModel, history: Sequence[Mapping[str, Tensor]]) -> None:
        """After the last epoch; `history` holds the learner's state after each."""
