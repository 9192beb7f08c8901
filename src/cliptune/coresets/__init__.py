"""Coreset selection. Each module in this folder is a method that selects a part of the training images."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from cliptune.coresets.common.signals import Selection, Signals, Variant
from cliptune.errors import UserError
from cliptune.external_code import is_external
from cliptune.registry import Registry

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["Selection", "Signals", "check_options", "get", "names", "parse_selector", "select"]

#: Annotated type of an option -> accepted types of its value, and their name in messages.
OPTION_TYPES = {float: ((int, float), "number"), int: ((int,), "integer"), bool: ((bool,), "boolean")}


REGISTRY = Registry("coreset method", (__name__,), external=True)


def names() -> list[str]:
    """The names of all coreset methods, sorted."""
    return REGISTRY.names()


def get(name: str) -> Callable[..., Selection]:
    """The function of a coreset method; "k-center" and "k_center" are the same.

    Raises `UserError` with the nearest names if there is none.
    """
    return REGISTRY.get(name if is_external(name) else name.replace("-", "_").lower())


def check_options(method: str, options: Mapping[str, Any]) -> None:
    """Raise `UserError` for an option that `method` does not have, and for a value of the wrong type."""
    function = get(method)
    own = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    # Resolve the annotations of the options alone: those of the other parameters would import PyTorch.
    annotated = SimpleNamespace(__annotations__={k: v for k, v in function.__annotations__.items() if k in own})
    hints = get_type_hints(annotated, function.__globals__)
    for option, value in options.items():
        if option not in own:
            raise UserError(f"{method} has no option {option!r}; its options: {', '.join(own) or 'none'}")
        types = get_args(hints.get(option)) or (hints.get(option),)
        for annotation, (accepted, description) in OPTION_TYPES.items():
            if annotation in types and type(value) not in (*accepted, *types):
                raise UserError(f"{option}={value!r} of {method} is not of type {description}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{option}={value!r} of {method} is not finite")


def parse_selector(selector: str) -> tuple[str, dict[str, Any]]:
    """Split "uncertainty,measure=entropy" into name and options.

    Raises `UserError` for an unknown method or option, and for a value of the wrong type.
    """
    name, *options = (part.strip() for part in selector.split(","))
    pairs = (option.partition("=") for option in options if option)
    values = {key.strip(): _parse_value(value.strip()) for key, _, value in pairs}
    check_options(name, values)
    return name, values


def select(
    method: str,
    signals: Signals,
    labels: Tensor,
    fraction: float,
    *,
    balanced: bool = True,
    seed: int | None = None,
    generator: Generator | None = None,
    variant: Variant = "paper",
    **options: Any,
) -> Selection:
    """Select a fraction of a pool of n images.

    Args:
        method: Name of a coreset method.
        signals: What is known about the images; each method names what it needs.
        labels: `(n,)`, the class of each image.
        fraction: Above 0 and at most 1.
        balanced: Select round(fraction * n_c) images of each class c, at least one; otherwise round(fraction * n) of
            all images. Methods that compare all pairs of images refuse more than 40,132 images in single precision,
            per class if balanced.
        seed: For the methods that draw; the same seed selects the same images. 0 by default.
        generator: An alternative to `seed`.
        variant: "paper", or "dapt" for the code released with DAPT.
        options: Options of the method, such as `measure="entropy"`.

    The earlier image wins a tie. Raises `UserError` if a signal is missing, if signals do not fit together, and for
    invalid values.
    """
    import torch
    from torch import Generator

    from cliptune.coresets.common.pool import Pool

    function = get(method)
    check_options(method, options)
    if variant not in get_args(Variant):
        raise UserError(f"variant={variant!r} is neither {' nor '.join(map(repr, get_args(Variant)))}")
    if seed is not None and generator is not None:
        raise UserError("seed and generator exclude each other; pass one of them")
    generator = generator or Generator().manual_seed(seed or 0)
    with torch.no_grad():
        pool = Pool.create(method, signals, labels, fraction, balanced, variant, generator)
        return function(pool, **options).ordered()


def _parse_value(text: str) -> Any:
    """The value of an option; "1e-2" is a float."""
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(text)
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)
