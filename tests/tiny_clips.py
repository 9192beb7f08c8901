"""Small random CLIPs: towers of different widths and depths, without zeros that could hide a mistake."""

from __future__ import annotations

import math
from functools import cache

import open_clip
import torch
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.model.tuned_model import TunedModel
from cliptune.types import LinearBackend

#: Name -> configuration: more layers in the image tower, more in the text tower, a ResNet, and a tower from timm.
SHAPES = {
    "deep_image": {
        "embed_dim": 48,
        "text_cfg": {"width": 64, "heads": 2, "layers": 3},
        "vision_cfg": {"width": 96, "head_width": 32, "layers": 4, "patch_size": 8, "image_size": 32},
        "quick_gelu": False,
    },
    "deep_text": {
        "embed_dim": 32,
        "text_cfg": {"width": 96, "heads": 3, "layers": 5},
        "vision_cfg": {"width": 64, "head_width": 32, "layers": 2, "patch_size": 16, "image_size": 48},
        "quick_gelu": True,
    },
    "resnet": {
        "embed_dim": 48,
        "text_cfg": {"width": 64, "heads": 2, "layers": 2},
        "vision_cfg": {"width": 16, "layers": (1, 1, 1, 1), "patch_size": None, "image_size": 32},
        "quick_gelu": True,
    },
    "timm": {
        "embed_dim": 40,
        "text_cfg": {"width": 64, "heads": 2, "layers": 2},
        "vision_cfg": {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear", "image_size": 32},
        "quick_gelu": False,
    },
}
VITS = ("deep_image", "deep_text")
#: Class names of one to many tokens.
NAMES = ("cat", "old_fashioned little red steam locomotive with seven wagons", "sled dog", "x", "cathedral")


@cache
def backbone(shape: str, linear_backend: LinearBackend = "onednn") -> Backbone:
    """A frozen random CLIP, the same for the same `shape`; tests must not modify it."""
    config = SHAPES[shape]
    generator = torch.Generator().manual_seed(3)
    with torch.random.fork_rng(devices=[]):  # open_clip initialises biases from the global generator
        torch.manual_seed(3)
        model = open_clip.model.CLIP(**config)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
            noise = torch.randn(parameter.shape, generator=generator) * fan_in**-0.5
            parameter.copy_(noise if parameter.ndim > 1 else parameter + noise)
        model.logit_scale.fill_(math.log(100))
    model.visual.image_mean, model.visual.image_std = (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)
    return Backbone(shape, model, open_clip.SimpleTokenizer(), linear_backend)


def normal(*shape: int, seed: int = 0, std: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * std


def learned(*shape: int, seed: int = 0) -> Tensor:
    """A leaf tensor that requires a gradient."""
    return normal(*shape, seed=seed, std=0.5).requires_grad_()


def moved(model: TunedModel, std: float = 0.1) -> TunedModel:
    """The model after its parameters have moved from their initial values."""
    with torch.no_grad():
        for i, parameter in enumerate(model.learner.parameters()):
            parameter += normal(*parameter.shape, seed=i, std=std)
    return model


def random_images(of: Backbone, n: int = 3, seed: int = 0) -> Tensor:
    return normal(n, 3, of.image_size, of.image_size, seed=seed)


def same_gradients(loss: Tensor, reference: Tensor, leaves: list[Tensor]) -> None:
    """Assert that gradients of both scalars agree to 0.1 % of each tensor's largest entry; none is missing or zero."""
    ours = torch.autograd.grad(loss, leaves)
    for got, expected in zip(ours, torch.autograd.grad(reference, leaves), strict=True):
        largest = expected.abs().max()
        assert largest > 0
        assert (got - expected).abs().max() <= 1e-3 * largest


def clip(config: dict, quick_gelu: bool = False, seed: int = 0) -> open_clip.model.CLIP:
    """open_clip's model of a configuration, with no tensor that is all zeros or ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.model.CLIP(**config, quick_gelu=quick_gelu).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name != "logit_scale":
                    parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def agrees(backbone: Backbone, model: torch.nn.Module) -> bool:
    """Whether the features equal those of open_clip's model."""
    height, width = backbone.preprocess.size
    images, texts = normal(2, 3, height, width), ["a photo of a cat.", "dog"]
    tokens = open_clip.SimpleTokenizer(context_length=backbone.context_length)(texts)
    with torch.no_grad():
        pairs = (
            (backbone.encode_image(images), model.encode_image(images)),
            (backbone.encode_text(backbone.tokenize(texts)), model.encode_text(tokens)),
        )
    return all((got - expected).abs().max() <= 1e-4 * expected.abs().max() for got, expected in pairs)
