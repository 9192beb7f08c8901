"""The interface of wrappers, methods around another method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.types import Batch, Outputs, Prompts, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.backbones.tokenized_text import TokenizedText
    from cliptune.model.tuned_model import TunedModel


def _of_base(name: str) -> Any:
    """A property with the value of the wrapped method's attribute."""
    return property(attrgetter(f"base.{name}"))


class Wrapper(Method):
    """A method around another one, `base`, to which it delegates everything it does not override.

    A wrapper with parameters of its own returns a learner that contains the one of `base` as its submodule `base`, and
    sets `nests`.
    """

    base: Method
    #: Whether its learner contains that of `base` as the submodule `base`.
    nests: bool = False

    needs_history = _of_base("needs_history")
    needs_block_features = _of_base("needs_block_features")
    needs_tokens = _of_base("needs_tokens")
    needs_patches = _of_base("needs_patches")
    needs_frozen = _of_base("needs_frozen")
    needs_second_view = _of_base("needs_second_view")
    pool = _of_base("pool")
    chooses_on_test = _of_base("chooses_on_test")
    fixed_classes = _of_base("fixed_classes")
    validation_use = _of_base("validation_use")
    template_table = _of_base("template_table")
    epochs = _of_base("epochs")
    share = _of_base("share")

    def __post_init__(self):
        if not self.base.trains:
            raise UserError(
                f"{type(self).__name__} around {type(self.base).__name__} has no meaning: its losses would change "
                f"nothing, as {type(self.base).__name__} trains nothing; wrap a method that does, such as coop"
            )

    def base_model(self, model: TunedModel) -> TunedModel:
        """The model as `base` sees it, with its own learner."""
        return model.part(self.base, model.learner.get_submodule("base")) if self.nests else model

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        return self.base.learner(backbone, classnames, generator)

    def teacher_source(self) -> str | None:
        return self.base.teacher_source()

    def taught(self, text: Tensor) -> Method:
        return dataclasses.replace(self, base=self.base.taught(text))  # type: ignore[type-var]

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return self.base.class_prompts(backbone, classnames, templates)

    def extra_prompts(self, state: State | None) -> tuple[str, ...]:
        return self.base.extra_prompts(state)

    def views(self, batch: Batch) -> dict[str, Tensor]:
        return self.base.views(batch)

    def stop_gradient_views(self, state: State) -> frozenset[str]:
        return self.base.stop_gradient_views(state)

    def idle_views(self, prompts: Prompts, state: State) -> frozenset[str]:
        return self.base.idle_views(prompts, state)

    def needs_masks(self, prompts: Prompts, state: State) -> bool:
        """True for a wrapper with a mask source of its own, whose views use the masks."""
        own = type(self).mask_source is not Wrapper.mask_source
        return own or self.base.needs_masks(prompts, state)

    def class_inputs(self, model: TunedModel) -> Any:
        return self.base.class_inputs(self.base_model(model))

    def text_features(self, model: TunedModel, extra: tuple[str, ...]) -> tuple[Tensor, Tensor | None] | None:
        return self.base.text_features(self.base_model(model), extra)

    def logits(self, out: Outputs, view: str = "image") -> Tensor:
        return self.base.logits(out, view)

    def view_loss(self, logits: Tensor, out: Outputs, batch: Batch, state: State) -> Tensor:
        return self.base.view_loss(logits, out, batch, state)

    def rates(self) -> Mapping[str, float]:
        rates = self.base.rates()
        return {f"base.{prefix}": factor for prefix, factor in rates.items()} if self.nests else rates

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return self.base.losses(out, batch, state)

    def mask_source(self) -> str | None:
        return self.base.mask_source()

    def resolve_masks(self, own: str) -> str:
        """The mask source `own`, a field of the wrapper; if it is "auto", the one that `base` needs, if any."""
        return self.base.mask_source() or own if own == "auto" else own

    def prepare(self, model: TunedModel, task: Task) -> Any:
        return self.base.prepare(self.base_model(model), task)

    def before_step(self, model: TunedModel, state: State) -> None:
        self.base.before_step(self.base_model(model), state)

    def update(self, losses: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> None:
        self.base.update(losses, parameters)

    def after_epoch(self, model: TunedModel, state: State) -> None:
        self.base.after_epoch(self.base_model(model), state)

    def finish(self, model: TunedModel, history: Sequence[Mapping[str, Tensor]]) -> None:
        if self.nests:
            history = [
                {key.removeprefix("base."): value for key, value in state.items() if key.startswith("base.")}
                for state in history
            ]
        self.base.finish(self.base_model(model), history)

    def next_stage(self, model: TunedModel) -> Method | None:
        after = self.base.next_stage(self.base_model(model))
        return None if after is None else dataclasses.replace(self, base=after)  # type: ignore[type-var]

    def continue_from(self, model: TunedModel, before: TunedModel) -> None:
        self.base.continue_from(self.base_model(model), self.base_model(before))
