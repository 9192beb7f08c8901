"""The interface of every method, and of wrappers around one."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cliptune.backbones.features import scaled_cosines
from cliptune.backbones.tokenized_text import TokenizedText, tokenize_templates
from cliptune.errors import UserError
from cliptune.types import Batch, Outputs, Prompts, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel


class Method(ABC):
    """What is learned and what is minimised; a leaf is a frozen dataclass whose fields are the paper's
    hyper-parameters.

    Only `learner` must be given. Nothing here knows a device, a loop or a file.
    """

    #: Whether there is something that gradients of losses move; a wrapper's losses need it.
    trains: bool = True
    #: Whether `finish` wants the learner's state after every epoch.
    needs_history: bool = False
    #: Whether losses use `Outputs.block_features`.
    needs_block_features: bool = False
    #: What in the method looks at validation images, in words; "" where nothing does.
    validation_use: str = ""
    #: Epochs of this stage of training, where they are not the run's.
    epochs: int | None = None

    def unused_fields(self) -> dict[str, str]:
        """Fields that have no effect beside the others, each with the reason in a few words."""
        return {}

    @abstractmethod
    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        """The parameters that train; calling it gives the `Prompts` for the towers."""

    def sentences(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        """One or more sentences a class; by default the dataset's own template."""
        return tokenize_templates(backbone.prompt_tokenizer, templates[:1], classnames)

    def extra_prompts(self, state: State | None) -> tuple[str, ...]:
        """Sentences encoded beside the classes' at this point of training; None asks for evaluation."""
        return ()

    def views(self, batch: Batch) -> dict[str, Tensor]:
        """The images that go through the image tower, by name; "image" is the picture itself."""
        return {"image": batch.images}

    def stop_gradient_views(self, state: State) -> frozenset[str]:
        """Views of which no loss takes a gradient at this point: they pass the tower without an autograd graph."""
        return frozenset()

    def logits(
        self, image: Tensor, text: Tensor, extra_text: Tensor | None, logit_scale: Tensor, prompts: Prompts
    ) -> Tensor:
        """Logits `(b, c)` from normalised features `(b, d)` and `(c, d)`: scaled cosines, with a sigmoid model's bias,
        then the learned head's."""
        logits = scaled_cosines(image, text, logit_scale, prompts.logit_bias)
        return logits if prompts.head is None else prompts.head(image, logits)

    @abstractmethod
    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        """Named scalars, already weighted; their sum is minimised."""

    def masks(self) -> str | None:
        """The mask source the method needs (`masks.get` knows them), or None."""
        return None

    def prepare(self, model: TunedModel, task: Task) -> Any:
        """Once before training: teacher features, start values. Returns what `losses` finds in `state.memory`."""
        return None

    def before_step(self, model: TunedModel, state: State) -> None:
        """Before each step's forward pass."""

    def update(self, losses: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> None:
        """Put gradients on the parameters; by default those of the losses' sum."""
        import torch

        torch.stack(list(losses.values())).sum().backward()

    def after_epoch(self, model: TunedModel, state: State) -> None:
        """After the last step of an epoch, before validation."""

    def finish(self, model: TunedModel, history: Sequence[Mapping[str, Tensor]]) -> None:
        """After the last epoch; `history` holds the learner's state after each."""

    def next_stage(self, model: TunedModel) -> Method | None:
        """The method to train next, from a fresh learner, once this one has been trained; None where that was all."""
        return None


class Wrapper(Method):
    """A method around another, `base`: whatever it does not do itself, `base` does."""

    base: Method

    def __post_init__(self):
        if not self.base.trains:
            raise UserError(
                f"{type(self).__name__} around {type(self.base).__name__} has no meaning: its losses would change "
                f"nothing, as {type(self.base).__name__} trains nothing; wrap a method that does, such as coop"
            )

    @property
    def needs_history(self) -> bool:  # type: ignore[override]
        return self.base.needs_history

    @property
    def needs_block_features(self) -> bool:  # type: ignore[override]
        return self.base.needs_block_features

    @property
    def validation_use(self) -> str:  # type: ignore[override]
        return self.base.validation_use

    @property
    def epochs(self) -> int | None:  # type: ignore[override]
        return self.base.epochs

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        return self.base.learner(backbone, classnames, generator)

    def sentences(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return self.base.sentences(backbone, classnames, templates)

    def extra_prompts(self, state: State | None) -> tuple[str, ...]:
        return self.base.extra_prompts(state)

    def views(self, batch: Batch) -> dict[str, Tensor]:
        return self.base.views(batch)

    def stop_gradient_views(self, state: State) -> frozenset[str]:
        return self.base.stop_gradient_views(state)

    def logits(
        self, image: Tensor, text: Tensor, extra_text: Tensor | None, logit_scale: Tensor, prompts: Prompts
    ) -> Tensor:
        return self.base.logits(image, text, extra_text, logit_scale, prompts)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return self.base.losses(out, batch, state)

    def masks(self) -> str | None:
        return self.base.masks()

    def resolve_masks(self, own: str) -> str:
        """The source named in a field of the wrapper, or where that is "auto" the one that `base` needs anyway."""
        return self.base.masks() or own if own == "auto" else own

    def prepare(self, model: TunedModel, task: Task) -> Any:
        return self.base.prepare(model, task)

    def before_step(self, model: TunedModel, state: State) -> None:
        self.base.before_step(model, state)

    def update(self, losses: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> None:
        self.base.update(losses, parameters)

    def after_epoch(self, model: TunedModel, state: State) -> None:
        self.base.after_epoch(model, state)

    def finish(self, model: TunedModel, history: Sequence[Mapping[str, Tensor]]) -> None:
        self.base.finish(model, history)

    def next_stage(self, model: TunedModel) -> Method | None:
        after = self.base.next_stage(model)
        return None if after is None else dataclasses.replace(self, base=after)  # type: ignore[type-var]
