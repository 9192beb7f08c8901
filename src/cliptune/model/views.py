"""Image features of a tuned model: all views of a batch in as few passes of the image tower as possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import adapted, normalise
from cliptune.model.method import Method
from cliptune.types import ImageContext, ImageOutputs, Prompts


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
    classes: Tensor | None = None,
) -> dict[str, ImageOutputs]:
    """Outputs of the image tower that `method` needs, by view, in one pass with an autograd graph and one without.

    Args:
        views: View name -> normalised images `(b, 3, H, W)`, or un-normalised features `(b, d)` computed before.
        stopped: Views that need no autograd graph.
        record: Also the class tokens after each block, of the views in the pass of "image".
        classes: Un-normalised class features `(C, d)`, which functions of `Prompts.image_made` need.
    """
    found: dict[str, ImageOutputs] = {}
    for graph in (True, False):
        names = [name for name in views if (name not in stopped) is graph]
        images = {name: views[name] for name in names if views[name].ndim != 2}
        found |= {name: ImageOutputs(views[name]) for name in names if views[name].ndim == 2}
        if not images:
            continue
        with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
            pixels = torch.cat(list(images.values()))
            own = for_images(backbone, prompts, pixels, classes)
            joint = backbone.encode_image_parts(
                pixels,
                own,
                tokens=method.needs_tokens and bool(prompts.image),
                patches=method.needs_patches,
                blocks=record and "image" in images,
            )
            if own.image_context is not None:
                joint = replace(joint, frozen=own.image_context.frozen)
            parts = _split(joint, [view.shape[0] for view in images.values()])
            found |= dict(zip(images, parts, strict=True))
    return {name: found[name] for name in views}


def for_images(backbone: Backbone, prompts: Prompts, images: Tensor, classes: Tensor | None) -> Prompts:
    """`prompts` with what functions of `Prompts.image_made` need for `images` `(b, 3, H, W)`, given class features
    `(C, d)`; as they are without such functions or features."""
    if not any(prompts.image_made) or classes is None:
        return prompts
    with torch.no_grad():
        frozen = normalise(backbone.encode_image(images))
    return replace(prompts, image_context=ImageContext(classes, frozen))


def _split(joint: ImageOutputs, sizes: list[int]) -> list[ImageOutputs]:
    """The outputs of consecutive parts of a batch."""

    def parts(x: Tensor | None) -> Sequence[Tensor | None]:
        return [None] * len(sizes) if x is None else x.split(sizes)

    blocks, made = ([x.split(sizes) for x in own] for own in (joint.blocks, joint.made))
    rest = zip(parts(joint.tokens), parts(joint.patches), parts(joint.frozen), strict=True)
    return [
        ImageOutputs(own, tokens, patches, tuple(x[i] for x in blocks), tuple(x[i] for x in made), frozen)
        for i, (own, (tokens, patches, frozen)) in enumerate(zip(joint.features.split(sizes), rest, strict=True))
    ]


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
    known = {name: own.frozen for name, own in raw.items() if own.frozen is not None}
    outputs = raw if prompts.fixed_image else {}
    if rest := {name: x for name, x in views.items() if name not in known and name not in outputs}:
        outputs = encode_views(backbone, method, rest, Prompts())
    return {name: known[name] if name in known else normalise(outputs[name].features) for name in views}
