"""A tuned model as a module from pixels to logits, with everything learned as constants, for tracing and export."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cliptune.backbones.backbone import Backbone
from cliptune.errors import UserError
from cliptune.model.texts import TextOutputs
from cliptune.model.tuned_model import TunedModel
from cliptune.model.views import encode_views
from cliptune.types import Prompts


@dataclass(frozen=True)
class _Parts:
    """What a pass needs. No module, so that tracing does not look through the text tower and the teacher."""

    model: TunedModel
    prompts: Prompts
    text: TextOutputs


class ImageClassifier(nn.Module):
    """Logits `(b, C)` of images `(b, 3, H, W)`, uint8 or float in [0, 1], at the size of the backbone.

    It contains the image tower with learned tokens and changed weights, mean and standard deviation of the pixels, the
    class features, and what the method computes of both. The text tower runs once, when it is built. `torch.export`,
    `torch.jit.trace` and ONNX can trace it, with any number of images. Logits equal those of the model to rounding.

    Args:
        model: A model in evaluation mode. Its weights are shared; tensors of its learner are copied.
        half: Compute the image tower in float16; features, class features and logits are float32.

    Attributes:
        classnames: The class names, in the order of the columns.
        size: Height and width of the images in pixels.

    Raises:
        UserError: If class features depend on the image, or prompts change with every pass.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: TunedModel, half: bool = False):
        super().__init__()
        self.classnames, self.size, self.half_tower = model.classnames, model.backbone.preprocess.size, half
        for name in ("mean", "std"):
            values = torch.tensor(getattr(model.backbone.preprocess, name), device=model.backbone.logit_scale.device)
            self.register_buffer(name, values.view(3, 1, 1))
        with torch.no_grad():
            own = _with_plain_layers(model, model.backbone.model)
            prompts = own.prompts(merge=False)
            _check_fixed(model, prompts)
            text = own.text_outputs(own.backbone.merged(prompts))
            own = _with_plain_layers(model, _halved(model.backbone.model)) if half else own
            self._parts = _Parts(own, own.backbone.merged(prompts), text)
            self(self.mean.new_zeros(1, 3, *self.size))  # builds what is built on first use, which no trace may contain

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        view = (pixels - self.mean) / self.std
        own, prompts, text = self._parts.model, self._parts.prompts, self._parts.text
        views = {"image": view.half() if self.half_tower else view}
        classes = text.of_tokens if any(prompts.image_made) else None
        raw = encode_views(own.backbone, own.method, views, prompts, classes=classes)
        return own.outputs(raw, views, prompts, text=text).logits[:, : len(self.classnames)]


def _with_plain_layers(model: TunedModel, module: Any) -> TunedModel:
    """The model with a copy of its learner that needs no gradients, on open_clip's model `module` with PyTorch's linear
    layers: weights that are packed for oneDNN cannot be stored."""
    of = model.backbone
    plain = Backbone(of.name, module, of.tokenizer, "torch", config=of.config)
    return model.part(model.method, copy.deepcopy(model.learner).requires_grad_(False).eval(), plain).eval()


def _halved(module: Any) -> Any:
    """A copy of open_clip's model in float16, with the factor of the cosines in float32."""
    half = copy.deepcopy(module).half()
    half.logit_scale.data = module.logit_scale.data.clone()
    return half


def _check_fixed(model: TunedModel, prompts: Prompts) -> None:
    """Raise `UserError` unless class features and prompts are the same for all images."""
    name = type(model.method).__name__
    if prompts.conditional is not None:
        raise UserError(
            f"this model ({name}) cannot be exported: its class features depend on the image through the text tower, "
            f"which an export does not contain; use the run itself, or a method whose class features are fixed"
        )
    if not prompts.lasting:
        raise UserError(
            f"this model ({name}) cannot be exported: its prompts change with every pass, so there are no fixed tokens "
            f"to store; use the run itself, or compat=paper"
        )
