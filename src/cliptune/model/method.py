"""The interface of methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cliptune.backbones.features import scaled_cosines
from cliptune.backbones.tokenized_text import TokenizedText, tokenize_templates
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, Outputs, Prompts, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel

#: The `teacher_source` that stands for the student's own backbone without prompts.
OWN_BACKBONE = "own"


class Method(ABC):
    """A tuning method: its trainable parameters, prompts and losses.

    A subclass is a frozen dataclass whose fields are the hyper-parameters of the paper. Only `learner` and `losses` are
    required. A method does not depend on devices, training loops or files.
    """

    #: Whether losses change any parameter. A wrapper needs a method that trains.
    trains: bool = True
    #: Whether `finish` needs the learner's state after every epoch.
    needs_history: bool = False
    #: Whether losses use `Outputs.block_features`.
    needs_block_features: bool = False
    #: Whether it reads `Outputs.tokens`, `Outputs.patches` or `Outputs.frozen`, in training or in evaluation.
    needs_tokens: bool = False
    needs_patches: bool = False
    needs_frozen: bool = False
    #: Whether it trains on the protocol's pool of unlabelled images instead of the labelled ones.
    pool: bool = False
    #: Whether the epoch with the best accuracy on the first test set is kept, as some released code does.
    chooses_on_test: bool = False
    #: Whether training needs `Batch.second_view`.
    needs_second_view: bool = False
    #: Whether class features receive no gradient, so that losses of a wrapper's views have to train the image side.
    fixed_classes: bool = False
    #: What the method uses validation images for, in words; "" if it does not.
    validation_use: str = ""
    #: Table of `data/templates` that replaces the templates of public datasets; "" for the datasets' own.
    template_table: str = ""
    #: Number of epochs of this training stage; None for that of the run.
    epochs: int | None = None
    #: Share of the run's epochs or steps that this training stage takes.
    share: float = 1.0

    def unused_fields(self) -> dict[str, str]:
        """Fields that have no effect given the others, each with the reason in a few words."""
        return {}

    @abstractmethod
    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        """The module with the trainable parameters. Calling it without arguments returns `Prompts`.

        generator: Source of random initial values.
        """

    def teacher_source(self) -> str | None:
        """The teacher that the method learns from: a run directory, NAME/PRETRAINED of a backbone, `OWN_BACKBONE`, or
        None."""
        return None

    def taught(self, text: Tensor) -> Method:
        """The method whose `learner` is for a teacher with the class features `text` `(C, d)` of the model's names.

        Called if there is a `teacher_source`. The features are not part of the method's configuration.
        """
        return self

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        """One or more tokenized prompts per class; by default the dataset's first template."""
        return tokenize_templates(backbone.prompt_tokenizer, templates[:1], classnames)

    def extra_prompts(self, state: State | None) -> tuple[str, ...]:
        """Texts to encode in addition to the classes' at this point of training; `state` is None for evaluation."""
        return ()

    def views(self, batch: Batch) -> dict[str, Tensor]:
        """Inputs `(b, 3, H, W)` of the image tower by name; "image" is the image itself."""
        return {"image": batch.images}

    def stop_gradient_views(self, state: State) -> frozenset[str]:
        """Views whose features receive no gradient at this point; they are computed without an autograd graph."""
        return frozenset()

    def idle_views(self, prompts: Prompts, state: State) -> frozenset[str]:
        """Views whose losses have no gradient at this point of training: neither they nor their losses are computed.

        Args:
            prompts: The learner's output, which shows what is learned; its values are those before training.
        """
        return frozenset()

    def needs_masks(self, prompts: Prompts, state: State) -> bool:
        """Whether a view that trains in the epoch of `state` is made from `Batch.masks`. Otherwise masks are not
        computed, and `Batch.masks` is foreground everywhere. Called if there is a `mask_source`; arguments as for
        `idle_views`."""
        return True

    def class_inputs(self, model: TunedModel) -> Any:
        """What the learner is called with for the model's class names, computed once without gradients; by default
        None: the learner is called without arguments. A learner that knows the names gets, for example, their frozen
        features `(C, d)`."""
        return None

    def text_features(self, model: TunedModel, extra: tuple[str, ...]) -> tuple[Tensor, Tensor | None] | None:
        """Normalised features `(C, d)` of the model's classes and `(P, d)` of `extra` prompts (None for ()) that come
        from elsewhere than the backbone's text tower; by default None: the tower computes them."""
        return None

    def logits(self, out: Outputs, view: str = "image") -> Tensor:
        """Logits `(b, C)` of a view: scaled cosines plus the bias of a sigmoid model, passed through the learned head
        if there is one. `out.logits` is not set yet."""
        image, prompts = out.image[view], out.prompts
        logits = scaled_cosines(image, out.text, out.logit_scale, prompts.logit_bias)
        return logits if prompts.head is None else prompts.head(image, logits)

    def view_loss(self, logits: Tensor, out: Outputs, batch: Batch, state: State) -> Tensor:
        """How far the logits `(B, C)` of another view are from what this method trains towards; by default the
        cross-entropy with the labels. Wrappers that classify further views use it."""
        return classification_loss(logits, batch)

    def rates(self) -> Mapping[str, float]:
        """Factors of the learning rate by prefix of the names of the learner's parameters; the longest prefix counts,
        and other parameters have factor 1. Warm-up epochs ignore them."""
        return {}

    @abstractmethod
    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        """Named scalar losses, already weighted; their sum is minimised."""

    def mask_source(self) -> str | None:
        """The mask source that training needs, as for `--masks-from`, or None."""
        return None

    def prepare(self, model: TunedModel, task: Task) -> Any:
        """Called once before training, for teacher features or initial values. Returns `state.memory` for `losses`."""
        return None

    def before_step(self, model: TunedModel, state: State) -> None:
        """Called before the forward pass of each step."""

    def update(self, losses: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> None:
        """Compute gradients of `parameters`; by default those of the sum of `losses`."""
        import torch

        torch.stack(list(losses.values())).sum().backward()

    def after_epoch(self, model: TunedModel, state: State) -> None:
        """Called after the last step of each epoch, before validation."""

    def finish(self, model: TunedModel, history: Sequence[Mapping[str, Tensor]]) -> None:
        """Called after the last epoch. `history` has the learner's state after each epoch if `needs_history`."""

    def next_stage(self, model: TunedModel) -> Method | None:
        """The method to train next, with a new learner, after this one has been trained; None if it is the last."""
        return None

    def continue_from(self, model: TunedModel, before: TunedModel) -> None:
        """Called before a later stage is trained with its new `model`, to copy values that the model `before` of the
        previous stage has learned."""


def __getattr__(name: str) -> Any:
    """`Wrapper`, which had its place here."""
    if name != "Wrapper":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("cliptune.model.wrapper").Wrapper
