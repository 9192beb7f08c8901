"""A tuned model as one matrix on the features of its frozen image tower."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel

#: Largest difference of logits, relative to the largest one, that counts as rounding.
ROUNDING = 1e-4
#: Number of random features on which a matrix is tested.
PROBES = 64


@dataclass(frozen=True)
class ClassMatrix:
    """`logits = logit_scale * features @ class_matrix.T + logit_bias` for features `(n, d)` of length 1.

    class_matrix: `(C, d)`; rows of length 1 for a classifier by cosines. logit_bias: `(C,)`.
    """

    class_matrix: np.ndarray
    logit_scale: np.ndarray
    logit_bias: np.ndarray


@torch.no_grad()
def class_matrix(model: TunedModel) -> ClassMatrix:
    """The matrix of a model whose image tower is that of the backbone and whose logits are linear in its features.

    Raises `UserError` for other models.
    """
    name = type(model.method).__name__
    if not model.fixed_image:
        raise UserError(
            f"this model ({name}) tunes the image tower or reads more of it than the feature, so no class matrix on "
            f"frozen features has its logits; use --to onnx, which contains the tower"
        )
    if model.prompts().conditional is not None:
        raise UserError(
            f"this model ({name}) has class features that depend on the image, so there is no class matrix; use the "
            f"run itself"
        )
    features, lengths = _probes(model)
    logits = _logits(model, features * lengths)
    text, bias = model.encode_classes()[0], model.backbone.logit_bias
    found = _of_cosines(features, logits, text, bias) if text.shape[-1] == features.shape[-1] else None
    found = found or _of_unit_vectors(model, features.shape[-1])
    apart = (found[1] * features @ found[0].T + found[2] - logits).abs().max()
    if not apart <= ROUNDING * logits.abs().max():
        raise UserError(
            f"this model ({name}) has logits that are no linear function of the image feature, so no matrix has them; "
            f"use --to onnx"
        )
    matrix, scale, bias = (part.float().cpu().numpy() for part in found)
    return ClassMatrix(matrix, scale, bias)


def _probes(model: TunedModel) -> tuple[Tensor, Tensor]:
    """Random features `(n, d)` of length 1, and other lengths `(n, 1)`, on which logits must not depend."""
    like, generator = model.backbone.logit_scale, torch.Generator().manual_seed(0)
    features = torch.randn(PROBES, model.backbone.embed_dim, generator=generator).to(like)
    lengths = torch.rand(PROBES, 1, generator=generator).to(like) + 0.5
    return features / features.norm(dim=-1, keepdim=True), lengths


def _logits(model: TunedModel, features: Tensor) -> Tensor:
    return model({"image": features}).logits[:, : len(model.classnames)]


def _of_cosines(
    features: Tensor, logits: Tensor, text: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Class features, factor and bias, if the logits are scaled cosines."""
    cosines, shift = features @ text.T, logits.new_zeros(len(text)) if bias is None else bias.expand(len(text))
    if logits.shape != cosines.shape:
        return None
    scale = (cosines * (logits - shift)).sum() / cosines.square().sum()
    apart = (scale * cosines + shift - logits).abs().max()
    return (text, scale, shift) if apart <= ROUNDING * logits.abs().max() else None


def _of_unit_vectors(model: TunedModel, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The matrix, a factor of one and the bias that give the logits of all unit vectors."""
    unit = torch.eye(width, device=model.backbone.logit_scale.device)
    plus, minus = (_logits(model, sign * unit) for sign in (1, -1))
    return (plus - minus).T / 2, unit.new_ones(()), (plus + minus).mean(0) / 2
