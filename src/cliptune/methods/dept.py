"""DePT: a linear classifier on channel-adjusted features beside the prompts. Wraps any method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cliptune import checks
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.model.method import Method
from cliptune.model.wrapper import Wrapper
from cliptune.objectives.shared_classifier import class_pairs, shared_classifier_loss
from cliptune.prompts.initialization import init_linear
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.adapters.channel_adjusted import ChannelAdjustedHead
    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel

FROM_ELSEWHERE = (
    "dept classifies the text tower's features of the classes, but the wrapped method takes class features from "
    "elsewhere; wrap a method that encodes the class names, such as coop"
)


@dataclass(frozen=True)
class Dept(Wrapper):
    """A linear classifier for the trained classes, on features of both towers with a scale and a bias per channel.

    Its logits are mixed with those of the method if all classes to choose from are trained ones. Other lists of classes
    get the method's logits alone, as the two scales do not compare.

    Zhang et al., DePT: Decoupled Prompt Tuning, CVPR 2024, https://arxiv.org/abs/2309.07439.
    Checked against DePT d4ff416.
    """

    base: Method = field(default_factory=CoOp)
    """The wrapped method."""
    linear: float = 0.7
    """Share of the classifier in the loss and in the logits of trained classes; the rest is that of the method's
    cross-entropy and logits."""
    rate: float = 6.5
    """Factor of the learning rate for the classifier and the channels' scales and biases."""
    nests = True

    def __post_init__(self):
        super().__post_init__()
        checks.between(self, 0, 1, "linear")
        checks.positive(self, "rate")
        layer = self.base
        while isinstance(layer, Wrapper):
            if isinstance(layer, Dept):
                raise UserError("dept around dept has no meaning, as both add the same classifier; name it once")
            layer = layer.base

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.channel_adjusted import ChannelAdjustedHead, WithHead

        base = self.base.learner(backbone, classnames, generator)
        linear = init_linear(backbone.embed_dim, len(classnames), generator)
        return WithHead(base, ChannelAdjustedHead(classnames, linear))

    def rates(self) -> Mapping[str, float]:
        return {**super().rates(), "head.": self.rate}

    def prepare(self, model: TunedModel, task: Task) -> Any:
        after: Method | None = self.base.next_stage(self.base_model(model))
        while isinstance(after, Wrapper):
            after = after.base
        if after is not None and type(after).text_features is not Method.text_features:
            raise UserError(FROM_ELSEWHERE)  # now rather than after this stage
        return super().prepare(model, task)

    def logits(self, out: Outputs, view: str = "image") -> Tensor:
        logits, head, names = self.base.logits(out, view), channel_adjusted(out), out.prompts.classnames
        columns = None if out.prompts.novel else head.columns(names)
        if columns is None:
            return logits
        if logits.shape[1] != len(columns):
            raise UserError(
                f"dept mixes its logits of {len(columns)} classes with those of {type(self.base).__name__}, which have "
                f"{logits.shape[1]} columns; wrap the method with dept first, such as coop+dept+dapt"
            )
        own = head.image_logits(out.raw_image[view])
        own = own if columns == list(range(own.shape[1])) else own[:, columns]  # a list of columns waits for the device
        return (1 - self.linear) * logits + self.linear * own

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        head, raw_text = channel_adjusted(out), out.raw_text
        assert raw_text is not None
        losses = dict(self.base.losses(replace(out, logits=self.base.logits(out)), batch, state))
        if "ce" not in losses:
            raise UserError(
                f"dept shares the weight of the loss 'ce' with its classifier, but {type(self.base).__name__} has only "
                f"{', '.join(losses)}; wrap a method that trains on labels, such as coop"
            )
        image, label = class_pairs(batch)
        text = raw_text[label] if raw_text.ndim == 2 else raw_text[image, label]
        linear = shared_classifier_loss(head.image_logits(out.raw_image["image"]), head.text_logits(text), batch)
        return {**losses, "ce": (1 - self.linear) * losses["ce"], "linear": self.linear * linear}


def channel_adjusted(out: Outputs) -> ChannelAdjustedHead:
    """The classifier among the learned parts. Raises `UserError` if class features are not from the text tower."""
    from cliptune.adapters.channel_adjusted import HEAD

    if out.raw_text is None:
        raise UserError(FROM_ELSEWHERE)
    return out.prompts.parts[HEAD]
