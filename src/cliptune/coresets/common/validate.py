"""Check that signals fit together before any work is done."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from cliptune.coresets.common.signals import Signals
from cliptune.errors import UserError

#: Signal -> what it is, for error messages.
DESCRIPTIONS = {
    "features": "L2-normalised image features (n, d)",
    "text": "class features (C, d)",
    "logits": "logits (n, C)",
    "correct": "whether each image was classified correctly in each epoch of a training run (E, n)",
    "val_features": "L2-normalised features of validation images (m, d)",
    "val_labels": "labels of validation images (m,)",
    "val_logits": "logits of validation images (m, C)",
}
#: Largest deviation of a feature's norm from 1; half precision causes about 0.001.
LENGTH_TOLERANCE = 1e-2


def validate_signals(signals: Signals, labels: Tensor) -> tuple[Signals, Tensor]:
    """Return signals on one device and in at least single precision, and int64 labels on that device.

    Raises `UserError` for shapes, widths, class counts and values that do not fit.
    """
    labels = _as_labels(labels, "labels")
    if signals.val_labels is not None:
        signals = replace(signals, val_labels=_as_labels(signals.val_labels, "val_labels"))
    given = {name: value for name in DESCRIPTIONS if (value := getattr(signals, name)) is not None}
    num_val = None if signals.val_labels is None else len(signals.val_labels)
    for name, value in given.items():
        if value.ndim != (1 if name == "val_labels" else 2):
            raise UserError(f"{name} must be {DESCRIPTIONS[name]}; got {_shape_of(value)}")
        count = value.shape[-1] if name == "correct" else len(value)
        expected = None if name == "text" else num_val if name.startswith("val_") else len(labels)
        if expected is not None and count != expected:
            raise UserError(f"{name} cover {count} images, but there are {expected} labels")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            row = int(value.isfinite().reshape(len(value), -1).all(1).long().argmin())
            raise UserError(f"{name} contain a value that is not finite, first in row {row}")
    _check_widths(given)
    _check_classes(given, labels)
    device = next((value.device for value in given.values()), labels.device)
    floats = [value.dtype for value in given.values() if value.is_floating_point()]
    dtype = reduce(torch.promote_types, floats) if floats else torch.get_default_dtype()
    dtype = dtype if dtype.itemsize > 2 else torch.get_default_dtype()  # half precision is too coarse for ranking
    moved = {name: v.to(device, dtype if v.is_floating_point() else v.dtype) for name, v in given.items()}
    return replace(signals, **moved), labels.to(device)


def _as_labels(labels: Any, name: str) -> Tensor:
    try:
        labels = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"{name} must be integers, one per image; got {type(labels).__name__}") from None
    if labels.ndim != 1 or not len(labels) or labels.is_floating_point() or labels.is_complex():
        raise UserError(f"{name} must be integers, one per image; got {_shape_of(labels)}")
    return labels.long()


def _check_widths(given: dict[str, Tensor]) -> None:
    for name in ("features", "val_features"):
        if name in given:
            deviation = (given[name].float().norm(dim=1) - 1).abs()
            if float(deviation.max()) > LENGTH_TOLERANCE:
                row = int((deviation > LENGTH_TOLERANCE).long().argmax())
                norm = float(given[name][row].float().norm())
                raise UserError(f"{name} must have norm 1, but row {row} has {norm:.4g}; divide each by its norm")
    widths = {name: given[name].shape[1] for name in ("features", "text", "val_features") if name in given}
    if len(set(widths.values())) > 1:
        raise UserError(f"features differ in width: {', '.join(f'{name} {w}' for name, w in widths.items())}")


def _check_classes(given: dict[str, Tensor], labels: Tensor) -> None:
    counts = {name: given[name].shape[1] for name in ("logits", "val_logits") if name in given}
    counts |= {"text": len(given["text"])} if "text" in given else {}
    if len(set(counts.values())) > 1:
        raise UserError(f"signals differ in classes: {', '.join(f'{name} {c}' for name, c in counts.items())}")
    classes = next(iter(counts.values()), None)
    for name, value in {"labels": labels, "val_labels": given.get("val_labels", labels)}.items():
        low, high = (int(value.min()), int(value.max())) if len(value) else (0, 0)
        if low < 0 or (classes is not None and high >= classes):
            wrong = low if low < 0 else high
            raise UserError(f"{name} contain {wrong}, but classes range from 0 to {(classes or high + 1) - 1}")


def _shape_of(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
