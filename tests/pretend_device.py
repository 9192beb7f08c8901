"""An accelerator that any machine has: its tensors say that they are on `gpu:0`, hold their values in main memory, and
cannot be mixed with tensors on the CPU.

`with PretendDevice():` gives the device its operations. An operation fails as CUDA fails: if its tensors are on both
devices, or if a generator is on the other one. The device is registered once per process and for good, so tests that
use it run in a process of their own.
"""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "gpu"
PACKAGE = f"src{os.sep}cliptune"
aten = torch.ops.aten
#: Operations that copy between devices, or take indices from the CPU.
ACROSS = (aten.copy_, aten._to_copy, aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)
#: Operations after which the CPU waits for the device, as the size of the result depends on values.
WAITING = (aten.nonzero, aten.masked_select, aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.bincount)
_registered: list[torch.device] = []


class _Backend(_DummyBackendModule):
    """What `torch.random` asks of a device."""

    def get_rng_state(self, device: torch.device) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: torch.device) -> None:
        torch.set_rng_state(state)


def device() -> torch.device:
    """The device, registered on the first call."""
    if not _registered:
        _setup_privateuseone_for_python_backend(NAME, _Backend())
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # modules get new parameters by `Module.to`
        _registered.append(torch.device(NAME, 0))
    return _registered[0]


class PretendTensor(Tensor):
    """A tensor of the device. values: its content, in main memory."""

    values: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, values: Tensor) -> PretendTensor:
        tensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=device(),
        )
        tensor.values = values
        return tensor

    @property
    def data(self):  # type: ignore[override]
        return self.detach()

    @data.setter
    def data(self, other: PretendTensor):
        Tensor.data.__set__(self, other)  # type: ignore[attr-defined]
        self.values = other.values

    def tolist(self):
        return self.cpu().tolist()

    def __repr__(self, *, tensor_contents=None) -> str:
        return f"PretendTensor({self.values})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {}, Counter())


class PretendGenerator(torch.Generator):
    """A generator that the device accepts. Operations see a plain generator, so it is known by its seed."""

    seeds: ClassVar[set[int]] = set()

    def __new__(cls, device: torch.device | str = "cpu") -> PretendGenerator:
        return super().__new__(cls)

    def manual_seed(self, seed: int) -> torch.Generator:
        self.seeds.add(seed)
        return super().manual_seed(seed)


class PretendDevice(TorchDispatchMode):
    """Gives the device its operations in this thread.

    Attributes:
        waits: How often the CPU would have waited for the device, by line of cliptune and operation.
    """

    def __init__(self):
        super().__init__()
        self.waits: Counter[str] = Counter()
        device()

    def __enter__(self) -> PretendDevice:
        self._lifts = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(..., device=...)` copies through this mode
        return super().__enter__()

    def __exit__(self, *error) -> None:
        torch._C._set_only_lift_cpu_tensors(self._lifts)
        super().__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {}, self.waits)


def compute(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], waits: Counter[str]) -> Any:
    """The result of an operation, computed in main memory."""
    given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    ours = any(isinstance(tensor, PretendTensor) for tensor in given)
    target = kwargs.get("device")
    there = ours if target is None else torch.device(target).type == NAME
    check(func, given, args, kwargs, there)
    if waits_for_device(func, given, kwargs, there):
        waits[_caller(func)] += 1
    inside = {**tree_map(_values, dict(kwargs)), **({} if target is None else {"device": torch.device("cpu")})}
    result = func(*tree_map(_values, tuple(args)), **inside)
    if func is aten._local_scalar_dense.default or not there:
        return result
    result = tree_map(lambda value: PretendTensor(value) if isinstance(value, Tensor) else value, result)
    return return_and_correct_aliasing(func, args, kwargs, result) if ours else result


def check(func: Any, given: Sequence[Tensor], args: Sequence[Any], kwargs: Mapping[str, Any], there: bool) -> None:
    """Raise `RuntimeError` for devices that CUDA refuses."""
    generators = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Generator)]
    if there and any(generator.initial_seed() not in PretendGenerator.seeds for generator in generators):
        raise RuntimeError(f"{func}: expected a {NAME!r} device type for generator but found 'cpu'")
    here = [tensor for tensor in given if not isinstance(tensor, PretendTensor)]
    if not here or len(here) == len(given):
        return
    if func.overloadpacket in ACROSS and (func.overloadpacket is aten.copy_ or isinstance(given[0], PretendTensor)):
        return
    if torch.Tag.pointwise in func.tags and all(tensor.ndim == 0 for tensor in here):  # scalars
        return
    raise RuntimeError(f"{func}: expected all tensors to be on the same device, but got {NAME} and cpu")


def waits_for_device(func: Any, given: Sequence[Tensor], kwargs: Mapping[str, Any], there: bool) -> bool:
    """Whether the CPU waits for the device."""
    packet, places = func.overloadpacket, [isinstance(tensor, PretendTensor) for tensor in given]
    if packet in (aten._to_copy, aten.copy_):
        source, target = (places[-1], there if packet is aten._to_copy else places[0])
        return source != target and not kwargs.get("non_blocking")
    if not any(places):
        return False
    if packet in (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_):
        return any(
            index.dtype == torch.bool or not isinstance(index, PretendTensor)
            for index in given[1:]
            if index.dtype in (torch.bool, torch.int64, torch.int32)
        )
    if packet is aten.repeat_interleave and len(given) == 1:
        return func is aten.repeat_interleave.Tensor
    return packet in WAITING or func is aten._local_scalar_dense.default


def _caller(func: Any) -> str:
    """The line of cliptune, or else of whoever called it, that an operation comes from."""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_stack()
        if PACKAGE in frame.filename
    ]
    return f"{frames[-1] if frames else '?'} {func}"


def _values(value: Any) -> Any:
    return value.values if isinstance(value, PretendTensor) else value
