"""Coresets by name: a file here is a method that chooses the part of a pool worth training on."""

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

__all__ = ["Selection", "Signals", "check_options", "get", "names", "select", "parse_selector"]

#: What an option of a kind may be given as, and what that is called.
KINDS = {float: ((int, float), "number"), int: ((int,), "whole number"), bool: ((bool,), "true or false")}

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
    """Raises `UserError` for an option that `method` lacks, and for a number or a truth that is none."""
    function = get(method)
    own = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    # Of the options alone: annotations of tensors would need PyTorch.
    mine = SimpleNamespace(__annotations__={k: v for k, v in function.__annotations__.items() if k in own})
    hints = get_type_hints(mine, function.__globals__)
    for option, value in options.items():
        if option not in own:
            raise UserError(f"{method} has no option {option!r}; it has {', '.join(own) or 'none'}")
        kinds = get_args(hints.get(option)) or (hints.get(option),)
        for kind, (fits, said) in KINDS.items():
            if kind in kinds and type(value) not in (*fits, *kinds):
                raise UserError(f"{option}={value!r} of {method} is no {said}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{option}={value!r} of {method} is no finite number")


def parse_selector(selector: str) -> tuple[str, dict[str, Any]]:
    """Name and options of "uncertainty,measure=entropy". Raises `UserError` for what is unknown or of a wrong kind."""
    name, *options = (part.strip() for part in selector.split(","))
    pairs = (option.partition("=") for option in options if option)
    read = {key.strip(): _read(value.strip()) for key, _, value in pairs}
    check_options(name, read)
    return name, read


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
    """Choose `fraction` of a pool of n pictures with the labels `(n,)`, as `method` does.

    balanced: round(fraction * n_c) of each class c, at least one; else round(fraction * n) of all.
    seed (0 unless told), or generator: of the methods that draw; the same chooses the same. Ties go to the earlier
    picture.
    options: the method's own keywords, such as `measure="entropy"`.
    Raises `UserError` where a method lacks a signal, for signals that do not fit together, and for wrong values.
    """
    import torch
    from torch import Generator

    from cliptune.coresets.common.pool import Pool

    function = get(method)
    check_options(method, options)
    if variant not in get_args(Variant):
        raise UserError(f"variant={variant!r} is neither {' nor '.join(map(repr, get_args(Variant)))}")
    if seed is not None and generator is not None:
        raise UserError("seed and generator are two ways to say the same; give one of them")
    generator = generator or Generator().manual_seed(seed or 0)
    with torch.no_grad():
        return function(Pool.of(method, signals, labels, fraction, balanced, variant, generator), **options).ordered()


def _read(value: str) -> Any:
    """The value of an option: 1e-2 is a number, as 0.01 is."""
    with suppress(ValueError):
        return int(value)
    with suppress(ValueError):
        return float(value)
    return {"true": True, "false": False, "none": None}.get(value.lower(), value)
