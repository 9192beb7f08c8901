"""Registry of public datasets: each module in this folder defines one."""

from __future__ import annotations

from cliptune.data.public.common.public_dataset import PublicDataset
from cliptune.data.public.common.spec import DatasetSpec
from cliptune.registry import Registry

REGISTRY = Registry("public dataset", (__name__,), PublicDataset)


def classes() -> dict[str, type[PublicDataset]]:
    """The classes of the public datasets by name."""
    return {name: REGISTRY.get(name) for name in REGISTRY.names()}


def specs() -> dict[str, DatasetSpec]:
    """The specifications of the public datasets by name."""
    return {name: kind.spec for name, kind in classes().items()}
