"""Whether signals fit together, said in a sentence before any work is done."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from cliptune.coresets.common.signals import Signals
from cliptune.errors import UserError

#: What a signal is, for whoever is asked for it.
DESCRIPTIONS = {
    "features": "L2-normalised image features (n, d)",
    "text": "class features (C, d)",
    "logits": "logits (n, C)",
    "correct": "whether each picture was right in each epoch of a training run (E, n)",
    "val_features": "L2-normalised features of held-out pictures (m, d)",
    "val_labels": "labels of held-out pictures (m,)",
    "val_logits": "logits of held-out pictures (m, C)",
}
#: How far from 1 the length of a feature may be: half precision leaves about a thousandth.
LENGTH_TOLERANCE = 1e-2


def validate_signals(signals: Signals, labels: Tensor) -> tuple[Signals, Tensor]:
    """The same, half precision widened, labels as integers on the signals' device. Raises `UserError`."""
    given = {name: value for name in DESCRIPTIONS if (value := getattr(signals, name)) is not None}
    labels = _whole(labels, "labels")
    if signals.val_labels is not None:
        signals = replace(signals, val_labels=_whole(signals.val_labels, "val_labels"))
        given["val_labels"] = signals.val_labels
    pool, held = len(labels), len(signals.val_labels) if signals.val_labels is not None else None
    for name, value in given.items():
        wanted = 1 if name == "val_labels" else 2
        if value.ndim != wanted:
            raise UserError(f"{name} must be {DESCRIPTIONS[name]}; they are {_what(value)}")
        count = {"text": len(value), "correct": value.shape[-1]}.get(name, len(value))
        expected = {"text": count}.get(name, held if name.startswith("val_") else pool)
        if expected is not None and count != expected:
            raise UserError(f"{name} are of {count} pictures, but there are {expected} labels")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            flat = value.isfinite().reshape(len(value), -1).all(1)
            raise UserError(f"{name} hold something that is no finite number, first in row {int(flat.long().argmin())}")
    _lengths(given)
    _classes(given, labels)
    device = next((value.device for value in given.values()), labels.device)
    floats = [value.dtype for value in given.values() if value.is_floating_point()]
    dtype = reduce(torch.promote_types, floats) if floats else torch.get_default_dtype()
    dtype = dtype if dtype.itemsize > 2 else torch.get_default_dtype()  # half precision is too coarse to rank with
    moved = {name: v.to(device, dtype if v.is_floating_point() else v.dtype) for name, v in given.items()}
    return replace(signals, **moved), labels.to(device)


def _whole(labels: Any, name: str) -> Tensor:
    try:
        labels = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"{name} must be whole numbers, one a picture; they are {type(labels).__name__}") from None
    if labels.ndim != 1 or not len(labels) or labels.is_floating_point() or labels.is_complex():
        raise UserError(f"{name} must be whole numbers, one a picture; they are {_what(labels)}")
    return labels.long()


def _lengths(given: dict[str, Tensor]) -> None:
    for name in ("features", "val_features"):
        if name in given:
            off = (given[name].float().norm(dim=1) - 1).abs()
            if float(off.max()) > LENGTH_TOLERANCE:
                row = int((off > LENGTH_TOLERANCE).long().argmax())
                length = float(given[name][row].float().norm())
                raise UserError(f"{name} must have length 1, but row {row} has {length:.4g}; divide each by its norm")
    widths = {name: given[name].shape[1] for name in ("features", "text", "val_features") if name in given}
    if len(set(widths.values())) > 1:
        raise UserError(f"features differ in width: {', '.join(f'{name} {w}' for name, w in widths.items())}")


def _classes(given: dict[str, Tensor], labels: Tensor) -> None:
    counts = {name: given[name].shape[1] for name in ("logits", "val_logits") if name in given}
    counts |= {"text": len(given["text"])} if "text" in given else {}
    if len(set(counts.values())) > 1:
        raise UserError(f"signals differ in classes: {', '.join(f'{name} {c}' for name, c in counts.items())}")
    classes = next(iter(counts.values()), None)
    for name, value in {"labels": labels, "val_labels": given.get("val_labels", labels)}.items():
        low, high = (int(value.min()), int(value.max())) if len(value) else (0, 0)
        if low < 0 or (classes is not None and high >= classes):
            wrong = low if low < 0 else high
            raise UserError(f"{name} hold {wrong}, but classes are counted from 0 to {(classes or high + 1) - 1}")


def _what(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
