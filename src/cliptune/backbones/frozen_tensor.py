"""Frozen tensors, and copies of them in lower precision or another layout that are made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor


def autocasts(x: Tensor) -> bool:
    """Whether autocast would convert `x`; it leaves float64 as it is."""
    return x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type)


def compute_dtype(x: Tensor) -> torch.dtype:
    """The type in which a layer computes on `x`: autocast's if it is on, else that of `x`."""
    return torch.get_autocast_dtype(x.device.type) if autocasts(x) else x.dtype


class FrozenTensor:
    """A frozen tensor and what is derived from it: computed on first use, and again after the tensor was changed in
    place, such as by `load_state_dict`."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor.detach()
        self._derived: dict[Hashable, Tensor] = {}
        self._version = _version(self.tensor)

    def __getstate__(self) -> dict:
        # Packed tensors cannot be copied or pickled.
        return self.__dict__ | {"_derived": {k: x for k, x in self._derived.items() if x.layout == torch.strided}}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= state | {"_version": _version(state["tensor"])}

    def to(self, dtype: torch.dtype) -> Tensor:
        """The tensor in a type: itself, or its one copy."""
        return self.tensor if self.tensor.dtype == dtype else self.derive(dtype, lambda tensor: tensor.to(dtype))

    def derive(self, key: Hashable, make: Callable[[Tensor], Tensor]) -> Tensor:
        """`make(tensor)`, computed once per `key`."""
        version = _version(self.tensor)
        if version != self._version:
            self._derived, self._version = {}, version
        if key not in self._derived:
            # A tensor that is first computed in inference mode could not be used in training later.
            with torch.inference_mode(False), torch.no_grad():
                self._derived[key] = make(self.tensor)
        return self._derived[key]


def _version(tensor: Tensor) -> int:
    """The number of changes in place, which views share; 0 for tensors that do not count them."""
    return 0 if tensor.is_inference() else tensor._version
