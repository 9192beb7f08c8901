"""`cliptune list methods | backbones | data`."""

from __future__ import annotations

import json
import sys
import warnings
from importlib import resources
from typing import TYPE_CHECKING

from cliptune import methods
from cliptune.backbones import listing
from cliptune.backbones.bundled import BUNDLED
from cliptune.commands.data_list import dataset_lines
from cliptune.errors import UserError

if TYPE_CHECKING:
    from torch.nn import Parameter


def list_(arguments: list[str]) -> None:
    """Print the names of one kind, one per line."""
    kinds = {"methods": _methods, "backbones": _backbones, "data": dataset_lines}
    if len(arguments) != 1 or arguments[0] not in kinds:
        if arguments in (["-h"], ["--help"]):
            sys.stdout.write("usage: cliptune list methods | backbones | data\n")
            return
        raise UserError(f"list takes one of {', '.join(kinds)}, got {' '.join(arguments) or 'nothing'}")
    for line in kinds[arguments[0]]():
        sys.stdout.write(line + "\n")


def _methods() -> list[str]:
    """Name, trainable parameters on ViT-B/16, description and paper of each method; wrappers last."""
    sizes, lines = recorded_sizes(), []
    for name in sorted(methods.names(), key=lambda name: methods.is_wrapper(methods.get(name))):
        cls = methods.get(name)
        wraps = methods.is_wrapper(cls)
        size = "as METHOD" if wraps else sizes.get(name) or count_parameters(name)
        summary, _, _ = (cls.__doc__ or "").strip().partition("\n\n")
        shown = f"METHOD+{name}" if wraps else name
        lines.append(f"{shown:<17}{size:>14}  {' '.join(summary.split())} {methods.paper_of(cls)}".rstrip())
    return [f"{'method':<17}{'on ViT-B/16':>14}  what is learned, paper", *lines]


def recorded_sizes() -> dict[str, str]:
    """The results of `count_parameters`, stored by tools/sizes.py so that the list does not need PyTorch."""
    return json.loads((resources.files("cliptune.methods") / "sizes.json").read_text(encoding="utf-8"))


def count_parameters(name: str) -> str:
    """The number of trainable parameters of a method on ViT-B/16, per class or image if it depends on these; the
    teacher of methods that have one is ViT-L/14."""
    import torch
    from torch import Generator

    from cliptune.backbones.load import shape_only_backbone

    method, backbone = methods.build(name), shape_only_backbone("ViT-B-16")
    teacher = shape_only_backbone("ViT-L-14") if method.teacher_source() is not None else None

    def trainable(classes: int) -> list[Parameter]:
        taught = method if teacher is None else method.taught(torch.ones(classes, teacher.embed_dim))
        with warnings.catch_warnings(action="ignore"):
            learner = taught.learner(backbone, [f"class {i}" for i in range(classes)], Generator().manual_seed(0))
        return [p for p in learner.parameters() if p.requires_grad]

    few, more = (sum(p.numel() for p in trainable(classes)) for classes in (2, 3))
    if method.trains and not few:  # one row per training image, filled later
        return f"{sum(p.shape[1:].numel() for p in trainable(2)):,} per image"
    per_class = more - few
    fixed = few - 2 * per_class
    return (
        f"{few:,}" if not per_class else f"{fixed:,} + {per_class:,} per class" if fixed else f"{per_class:,} per class"
    )


def _backbones() -> list[str]:
    shown = [
        f"{name:<16}bundled, trained on {own.trained_on}, for demonstrations and tests" for name, own in BUNDLED.items()
    ]
    shown[-1] += "; all others need weights: --pretrained TAG or FILE"
    return shown + [
        f"{name:<40}{' '.join(listing.list_pretrained_tags(name)) or '-'}" for name in listing.list_architectures()
    ]
