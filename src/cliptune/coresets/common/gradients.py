"""Gradients of the last layer, example by example, which are never written out.

The gradient of the cross-entropy of example i with respect to the weight `(C, d)` and bias `(C,)` of a linear softmax
head on its feature v_i is G_i = [g_i ; vec(g_i v_i^T)] with g_i = softmax(z_i) - onehot(y_i): C(1 + d) numbers of rank
one, so that <G_i, G_j> = <g_i, g_j> (1 + <v_i, v_j>).
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
    """Of m examples, as their two factors: `residual` `(m, C)` is g, `features` `(m, d)` is v."""

    residual: Tensor
    features: Tensor

    @classmethod
    def of(cls, pool: Pool, rows: Tensor, *, val: bool = False, summed: bool = False) -> Gradients:
        """Of the pictures `rows` of the pool, or of those held out.

        The variant "dapt" takes gradients of a batch's mean loss: 1/B of each, more where the last batch is smaller;
        of its sum where the method did (`summed`).
        """
        features, labels = pool.need("val_features", "val_labels") if val else (*pool.need("features"), pool.labels)
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

    @property
    def width(self) -> int:
        """Multiplications of an inner product."""
        return self.residual.shape[1] + self.features.shape[1]

    def inner(self, other: Gradients) -> Tensor:
        """All inner products `(m, k)` with `other`'s k."""
        return (self.residual @ other.residual.T).mul_((self.features @ other.features.T).add_(1))

    def inner_mean(self, other: Gradients) -> Tensor:
        """Inner products `(m,)` with the mean of `other`'s, whichever way is cheaper."""
        (m, c), (k, d) = self.residual.shape, other.features.shape
        if m * k * (c + d) <= (m + k) * c * d:
            return self.inner(other).mean(1)
        weight = other.residual.T @ other.features / k
        return (self.residual @ weight).mul_(self.features).sum(1) + self.residual @ other.residual.mean(0)

    def norms(self) -> Tensor:
        """`(m,)`."""
        return self.residual.norm(dim=1) * (1 + self.features.square().sum(1)).sqrt()

    def unit(self) -> Gradients:
        """Each of length 1; those of length 0 stay."""
        norms = self.norms()
        return Gradients(self.residual / norms.where(norms > 0, norms.new_ones(()))[:, None], self.features)

    def distances(self) -> Tensor:
        """Euclidean distances `(m, m)`, 0 on the diagonal."""
        square = self.norms().square()
        apart = (square[:, None] + square - 2 * self.inner(self)).clamp_min_(0)
        return apart.fill_diagonal_(0).sqrt_()


def residuals(logits: Tensor, labels: Tensor) -> Tensor:
    """softmax(logits) - onehot(labels) `(m, C)`, the gradient of each example's cross-entropy. Raises `UserError`."""
    if int(labels.max()) >= logits.shape[1]:
        raise UserError(f"labels hold {int(labels.max())}, but logits are of {logits.shape[1]} classes")
    g = logits.softmax(1)
    own = labels[:, None]
    g.scatter_(1, own, 0)
    return g.scatter_(1, own, -g.sum(1, keepdim=True))  # p - 1 would round to 0 where the model is sure
