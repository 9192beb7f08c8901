"""What a checkpoint's header says, checked before anything is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cliptune import checks, plain_values
from cliptune.backbones.backbone import Backbone
from cliptune.data import sources
from cliptune.errors import UserError, shown
from cliptune.model.method import Method

#: What a whole number among a method's fields may be, however small the file.
MIN_FIELD_LIMIT = 10_000


@dataclass(frozen=True)
class CheckpointHeader:
    """config: the run, in plain values. backbone: what `identity.describe` said of the model that the tensors were
    learned for."""

    config: Mapping[str, Any]
    classnames: tuple[str, ...]
    templates: tuple[str, ...]
    backbone: Mapping[str, Any]

    def check(self, backbone: Backbone, path: Path) -> None:
        """Raise `UserError` if the tensors were learned for another backbone."""
        backbone.fingerprints.check_same(self.backbone, str(path))


def read_header(about: Mapping[str, Any], path: Path) -> CheckpointHeader:
    """The header `about` of the checkpoint at `path`. Raises `UserError` for what is missing or of another kind."""
    if "config" not in about:
        raise UserError(f"{path} is the state of unfinished training; run the same command again to finish it")
    backbone = _of(about, "backbone", dict, path)
    config = _of(about, "config", dict, path)
    names, templates = (tuple(_texts(about, key, path)) for key in ("classnames", "templates"))
    (twice, count), *_ = Counter(names).most_common(1)
    data = str(config.get("data", ""))
    if count > 1 and data and data.partition(":")[0] not in sources.public_specs():  # ImageNet has two missiles
        raise _damaged(path, f"class {shown(twice)} comes {count} times")
    try:
        for template in templates:
            checks.template("template", template)
    except UserError as error:
        raise _damaged(path, str(error)) from None
    return CheckpointHeader(
        config,
        names,
        templates,
        {**backbone, **{key: _of(backbone, key, str, path) for key in ("name", "fingerprint")}},
    )


def check_sizes(layers: Iterable[Method], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise `UserError` for a whole number among a method's fields, such as a number of tokens, that is larger than all
    tensors of the file together: to make room for so many would take the machine's memory."""
    room = max(MIN_FIELD_LIMIT, sum(tensor.numel() for tensor in tensors.values()))
    for layer in layers:
        for name, value in vars(layer).items():
            numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if type(one) is int]
            if sum(map(abs, numbers)) > room:
                raise _damaged(path, f"{name}={shown(value)} is more than its tensors hold")


def _of(held: Mapping[str, Any], key: str, kind: type, path: Path) -> Any:
    if not isinstance(held.get(key), kind):
        what = f"{key} is {shown(held[key])}" if key in held else f"{key} is missing"
        raise _damaged(path, what)
    return held[key]


def _texts(about: Mapping[str, Any], key: str, path: Path) -> list[str]:
    texts = _of(about, key, list, path)
    for text in texts:
        if not isinstance(text, str) or not text.strip() or plain_values.CONTROL_CHARACTERS.search(text):
            raise _damaged(path, f"{key} has the entry {shown(text)}, which is no text of one line")
    if not texts:
        raise _damaged(path, f"{key} is empty")
    return texts


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"the header of checkpoint {path} cannot be used: {what}; train again or restore a copy")
