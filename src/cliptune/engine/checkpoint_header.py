"""The metadata of a finished checkpoint, validated before it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cliptune import checks, plain_values
from cliptune.backbones.backbone import Backbone
from cliptune.data import public
from cliptune.errors import UserError, shown
from cliptune.model.method import Method

#: Integer fields of a method may be this large in any file.
MIN_FIELD_LIMIT = 10_000


@dataclass(frozen=True)
class CheckpointHeader:
    """Metadata of a checkpoint.

    Args:
        config: The run configuration as plain values.
        classnames: The class names of the model.
        templates: The prompt templates of the dataset.
        backbone: Description of the backbone, by `Fingerprints.describe`.
        trained: The class names that were trained, if they are others; else ().
    """

    config: Mapping[str, Any]
    classnames: tuple[str, ...]
    templates: tuple[str, ...]
    backbone: Mapping[str, Any]
    trained: tuple[str, ...] = ()

    def check(self, backbone: Backbone, path: Path) -> None:
        """Raise `UserError` if `backbone` is not the one that the tensors were learned for."""
        backbone.fingerprints.check_same(self.backbone, str(path))


def read_header(about: Mapping[str, Any], path: Path) -> CheckpointHeader:
    """Validate the metadata `about` of the checkpoint at `path`. Raises `UserError` for missing or invalid entries."""
    if "config" not in about:
        raise UserError(f"{path} is the state of unfinished training; run the same command again to finish it")
    backbone = _get(about, "backbone", dict, path)
    config = _get(about, "config", dict, path)
    names, templates = (tuple(_texts(about, key, path)) for key in ("classnames", "templates"))
    (duplicate, count), *_ = Counter(names).most_common(1)
    data = str(config.get("data", ""))
    if count > 1 and data and data.partition(":")[0] not in public.specs():  # ImageNet has two classes named missile
        raise _damaged(path, f"class {shown(duplicate)} is listed {count} times")
    try:
        for template in templates:
            checks.template("template", template)
    except UserError as error:
        raise _damaged(path, str(error)) from None
    return CheckpointHeader(
        config,
        names,
        templates,
        {**backbone, **{key: _get(backbone, key, str, path) for key in ("name", "fingerprint")}},
        tuple(_texts(about, "trained", path)) if "trained" in about else (),
    )


def check_sizes(layers: Iterable[Method], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise `UserError` for an integer field of a method, such as a number of tokens, that exceeds the number of
    elements in all tensors of the file: allocating so many could exhaust the memory."""
    limit = max(MIN_FIELD_LIMIT, sum(tensor.numel() for tensor in tensors.values()))
    for layer in layers:
        for name, value in vars(layer).items():
            numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if type(one) is int]
            if sum(map(abs, numbers)) > limit:
                raise _damaged(path, f"{name}={shown(value)} exceeds the size of its tensors")


def _get(values: Mapping[str, Any], key: str, type_: type, path: Path) -> Any:
    if not isinstance(values.get(key), type_):
        raise _damaged(path, f"{key} is {shown(values[key])}" if key in values else f"{key} is missing")
    return values[key]


def _texts(about: Mapping[str, Any], key: str, path: Path) -> list[str]:
    texts = _get(about, key, list, path)
    for text in texts:
        if not isinstance(text, str) or not text.strip() or plain_values.CONTROL_CHARACTERS.search(text):
            raise _damaged(path, f"{key} has the entry {shown(text)}, which is not a line of text")
    if not texts:
        raise _damaged(path, f"{key} is empty")
    return texts


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"the header of checkpoint {path} cannot be used: {what}; train again or restore a copy")
