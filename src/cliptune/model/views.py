"""Image features of a tuned model: all views of a batch in as few passes of the image tower as possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import adapted, normalise
from cliptune.model.method import Method
from cliptune.types import ImageOutputs, Prompts


def check_image_tower(backbone: Backbone, method: Method) -> None:
    """Raise `UserError` if `method` reads tokens or patches that the image tower does not have."""
    if method.needs_tokens or method.needs_patches or method.needs_block_features:
        _ = backbone.vit


def encode_views(
    backbone: Backbone,
    method: Method,
    views: Mapping[str, Tensor],
    prompts: Prompts,
    stopped: frozenset[str] = frozenset(),
    record: bool = False,
) -> dict[str, ImageOutputs]:
    """Outputs of the image tower that `method` needs, by view, in one pass with an autograd graph and one without.

    Args:
        views: View name -> normalised images `(b, 3, H, W)`, or un-normalised features `(b, d)` computed before.
        stopped: Views that need no autograd graph.
        record: Also the class tokens after each block, of the views in the pass of "image".
    """
    found: dict[str, ImageOutputs] = {}
    for graph in (True, False):
        names = [name for name in views if (name not in stopped) is graph]
        images = {name: views[name] for name in names if views[name].ndim != 2}
        found |= {name: ImageOutputs(views[name]) for name in names if views[name].ndim == 2}
        if not images:
            continue
        with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
            joint = backbone.encode_image_parts(
                torch.cat(list(images.values())),
                prompts,
                tokens=method.needs_tokens and bool(prompts.image),
                patches=method.needs_patches,
                blocks=record and "image" in images,
            )
            parts = _split(joint, [len(view) for view in images.values()])
            found |= dict(zip(images, parts, strict=True))
    return {name: found[name] for name in views}


def _split(joint: ImageOutputs, sizes: list[int]) -> list[ImageOutputs]:
    """The outputs of consecutive parts of a batch."""

    def parts(x: Tensor | None) -> Sequence[Tensor | None]:
        return [None] * len(sizes) if x is None else x.split(sizes)

    blocks = [x.split(sizes) for x in joint.blocks]
    pairs = zip(joint.features.split(sizes), parts(joint.tokens), parts(joint.patches), strict=True)
    return [ImageOutputs(*own, tuple(x[i] for x in blocks)) for i, own in enumerate(pairs)]


def adapt_views(
    raw: Mapping[str, ImageOutputs], prompts: Prompts, stopped: frozenset[str], learner: nn.Module
) -> dict[str, Tensor]:
    """Un-normalised features `(b, d)` of each view after the adapter of `prompts`.

    In training, only the view "image" is normalised by its own batch and updates the running statistics of the
    learner's batch norms, so that there is one update per step and features of other views are comparable with those at
    test.
    """
    found = {}
    for name, own in raw.items():
        grad = name not in stopped and torch.is_grad_enabled()
        with torch.set_grad_enabled(grad), _batch_statistics(learner, name == "image"):
            found[name] = adapted(own.features, prompts.adapt_image)
    return found


@contextmanager
def _batch_statistics(learner: nn.Module, batch: bool) -> Iterator[None]:
    """Normalise by the running statistics of the learner's batch norms within the block, unless `batch`."""
    norms = [m for m in learner.modules() if isinstance(m, _BatchNorm) and m.training and not batch]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


@torch.no_grad()
def frozen_features(
    backbone: Backbone,
    method: Method,
    views: Mapping[str, Tensor],
    raw: Mapping[str, ImageOutputs],
    prompts: Prompts,
) -> dict[str, Tensor]:
    """Normalised features `(b, d)` of each view by the backbone alone, if `method` needs them.

    raw: The outputs with `prompts`.
    """
    if not method.needs_frozen:
        return {}
    outputs = raw if prompts.fixed_image else encode_views(backbone, method, views, Prompts())
    return {name: normalise(own.features) for name, own in outputs.items()}
