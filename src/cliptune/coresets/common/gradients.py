"""Gradients of the last layer per image, stored as two factors.

The gradient of the cross-entropy of image i with respect to the weight `(C, d)` and bias `(C,)` of a linear softmax
head on its feature v_i is G_i = [g_i ; vec(g_i v_i^T)] with g_i = softmax(z_i) - onehot(y_i). These C(1 + d) numbers
have rank one, so that <G_i, G_j> = <g_i, g_j> (1 + <v_i, v_j>) needs only g and v.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cliptune.coresets.common.pool import Pool
from cliptune.coresets.common.signals import DAPT_BATCH_SIZE
from cliptune.errors import UserError


@dataclass(frozen=True)
class Gradients:
    """Gradients of m images as two factors: `residual` `(m, C)` is g, `features` `(m, d)` is v."""

    residual: Tensor
    features: Tensor

    @classmethod
    def from_pool(cls, pool: Pool, rows: Tensor, *, val: bool = False, summed: bool = False) -> Gradients:
        """Gradients of the images `rows` of the pool, or of the validation images if `val`.

        The variant "dapt" differentiates the mean loss of a batch of B images, which divides each gradient by B (the
        last batch may be smaller). `summed` keeps the gradients of the summed loss, as the release does for some
        methods.
        """
        features, labels = (
            pool.require("val_features", "val_labels") if val else (*pool.require("features"), pool.labels)
        )
        g = residuals(pool.logits(rows, val=val), labels[rows])
        if pool.variant == "dapt" and not summed:
            n = len(labels)
            tail = n % DAPT_BATCH_SIZE or DAPT_BATCH_SIZE
            g = g / torch.where(rows >= n - tail, tail, DAPT_BATCH_SIZE)[:, None]
        return cls(g, features[rows])

    def __len__(self) -> int:
        return len(self.residual)

    def __getitem__(self, rows: Tensor | slice) -> Gradients:
        return Gradients(self.residual[rows], self.features[rows])

    def inner(self, other: Gradients) -> Tensor:
        """Inner products `(m, k)` with the k gradients of `other`."""
        return (self.residual @ other.residual.T).mul_((self.features @ other.features.T).add_(1))

    def inner_mean(self, other: Gradients) -> Tensor:
        """Inner products `(m,)` with the mean of the k gradients of `other`.

        The mean has full rank. It is written out only if that takes fewer multiplications than all inner products.
        """
        (m, c), (k, d) = self.residual.shape, other.features.shape
        if m * k * (c + d) <= (m + k) * c * d:
            return self.inner(other).mean(1)
        weight = other.residual.T @ other.features / k
        return (self.residual @ weight).mul_(self.features).sum(1) + self.residual @ other.residual.mean(0)

    def norms(self) -> Tensor:
        """Euclidean norms `(m,)`."""
        return self.residual.norm(dim=1) * (1 + self.features.square().sum(1)).sqrt()

    def unit(self) -> Gradients:
        """Gradients divided by their norms; a gradient of norm 0 stays 0."""
        norms = self.norms()
        return Gradients(self.residual / norms.where(norms > 0, norms.new_ones(()))[:, None], self.features)


def residuals(logits: Tensor, labels: Tensor) -> Tensor:
    """softmax(logits) - onehot(labels) `(m, C)`, the gradient of the cross-entropy of each image by its logits.

    Raises `UserError` for a label that has no logit.
    """
    if int(labels.max()) >= logits.shape[1]:
        raise UserError(f"labels contain {int(labels.max())}, but logits have {logits.shape[1]} classes")
    g = logits.softmax(1)
    own = labels[:, None]
    g.scatter_(1, own, 0)
    return g.scatter_(1, own, -g.sum(1, keepdim=True))  # p - 1 would round to 0 if the model is certain
