"""Results that depend on an immutable object alone, such as index tensors of tokenized text, computed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def cached_on_object(function: Function) -> Function:
    """Decorator of a method or function: its results are kept on the first argument, by the other arguments.

    The first argument must not change, and the others must be positional and hashable. Many results need a size or a
    list of indices, for which a GPU would have to finish all its work in each step.
    """
    name = function.__qualname__

    @wraps(function)
    def cached(owner: Any, *arguments: Any) -> Any:
        results = owner.__dict__.setdefault("_results", {})
        key = name, *arguments
        if key not in results:
            import torch

            with torch.inference_mode(False):  # tensors made in it could not serve a training later
                results[key] = function(owner, *arguments)
        return results[key]

    return cached  # type: ignore[return-value]
