"""Reference implementations for small pools: full gradients by autograd, greedy algorithms that try every image."""

import torch
from torch import Tensor

from cliptune.coresets import Signals


def pool(n: int = 30, classes: int = 3, width: int = 8, seed: int = 0, scale: float = 8.0, n_val: int = 9):
    """A random pool in double precision with shuffled labels: `(signals, labels)`. Every class has images."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def unit(x):
        return x / x.norm(dim=1, keepdim=True)

    text = unit(normal(classes, width))
    labels = torch.arange(n)[torch.randperm(n, generator=generator)] % classes
    val_labels = torch.arange(n_val) % classes
    features, val = unit(text[labels] + 0.6 * normal(n, width)), unit(text[val_labels] + 0.6 * normal(n_val, width))
    correct = torch.rand(6, n, generator=generator) < 0.6
    logits = scale * features @ text.T
    return Signals(features, text, logits, scale, correct, val, val_labels, scale * val @ text.T), labels


def gradients(logits: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """Gradients `(n, C (1 + d))` of the cross-entropy of each image by bias and weight of a linear head of zeros."""
    rows = []
    for z, v, y in zip(logits, features, labels, strict=True):
        bias = torch.zeros_like(z, requires_grad=True)
        weight = torch.zeros(len(z), len(v), dtype=z.dtype, requires_grad=True)
        with torch.enable_grad():
            loss = torch.nn.functional.cross_entropy((z + weight @ v + bias)[None], y[None])
        found = torch.autograd.grad(loss, [bias, weight])
        rows.append(torch.cat([g.flatten() for g in found]))
    return torch.stack(rows)


def pool_gradients(signals: Signals, labels: Tensor) -> Tensor:
    return gradients(signals.logits, signals.features, labels)


def similarity(g: Tensor) -> Tensor:
    g = g / g.norm(dim=1, keepdim=True)
    return (1 + g @ g.T) / 2


def greedy(value, size: int, budget: int) -> list[int]:
    """Positions that greedily maximise `value(list of positions)`; ties go to the earlier image."""
    chosen: list[int] = []
    for _ in range(budget):
        rest = [j for j in range(size) if j not in chosen]
        chosen.append(max(rest, key=lambda j: (round(float(value([*chosen, j])), 9), -j)))
    return chosen


def classes(labels: Tensor) -> list[Tensor]:
    return [(labels == c).nonzero()[:, 0] for c in labels.unique()]


def by_class(labels: Tensor, fraction: float, choose) -> list[int]:
    """Ascending pool positions of what `choose(rows, budget)` selects per class, by position in the class."""
    found = []
    for rows in classes(labels):
        budget = max(1, round(fraction * len(rows)))
        found += rows[torch.as_tensor(choose(rows, budget))].tolist()
    return sorted(found)


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum(-1)
