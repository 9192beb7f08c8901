"""Error messages for invalid input of coreset methods."""

from dataclasses import replace

import pytest
import torch

from cliptune import coresets
from cliptune.coresets import Signals, select
from cliptune.errors import UserError
from naive_coresets import pool


@pytest.mark.parametrize("method", [name for name in coresets.names() if name not in ("full", "uniform")])
def test_a_missing_signal_is_named(method):
    _, labels = pool(6)
    with pytest.raises(UserError, match=f"^{method} needs the signal '(features|logits|correct)'"):
        select(method, Signals(), labels, 0.5)


def test_dapt_glister_and_missing_validation_images():
    signals, labels = pool(12)
    with pytest.raises(UserError, match="glister needs the signal 'val_features'"):
        select("glister", replace(signals, val_features=None, val_labels=None), labels, 0.5, variant="dapt")
    without_a_class = replace(signals, val_labels=torch.zeros(9, dtype=torch.long))
    for method, options in (("glister", {}), ("gradmatch", {"validation": True})):
        with pytest.raises(UserError, match=f"{method} .*validation image.* class 1"):
            select(method, without_a_class, labels, 0.5, **options)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"method": "kcenter"}, "unknown coreset method 'kcenter'; nearest: k_center"),
        ({"method": "no.such:thing"}, "cannot be imported"),
        ({"fraction": 0}, "fraction must be above 0 .*got 0"),
        ({"fraction": 1.2}, "fraction must be .*got 1.2"),
        ({"fraction": float("nan")}, "fraction must be .*got nan"),
        ({"fraction": 0.01, "balanced": False}, "fraction=0.01 of 6 images is none; use at least 0.17"),
        ({"variant": "official"}, "variant='official' is neither 'paper' nor 'dapt'"),
        ({"method": "herding", "nearest": 3}, "herding has no option 'nearest'; its options: none"),
        ({"method": "cal", "nearest": 3}, "cal has no option 'nearest'; its options: neighbours"),
        ({"method": "cal", "neighbours": 0}, "neighbours must be at least 1, got 0"),
        ({"method": "uncertainty", "measure": "doubt"}, "measure='doubt' is none of margin"),
        ({"method": "submodular", "function": "sum"}, "function='sum' is none of graph_cut"),
        ({"method": "gradmatch", "ridge": "much"}, "ridge='much' of gradmatch is not of type number"),
        ({"method": "gradmatch", "validation": 1}, "validation=1 of gradmatch is not of type boolean"),
        ({"method": "cal", "neighbours": 2.5}, "neighbours=2.5 of cal is not of type integer"),
        ({"method": "gradmatch", "ridge": 0}, "ridge must be above 0, got 0"),
        ({"method": "glister", "updates": 0}, "updates must be at least 1, got 0"),
        ({"seed": 1, "generator": torch.Generator()}, "seed and generator exclude each other"),
        ({"labels": torch.rand(6)}, "labels must be integers, one per image; got float32 of shape"),
        ({"labels": ["cat"] * 6}, "labels must be integers, one per image; got list"),
        ({"labels": torch.zeros(0, dtype=torch.long)}, "labels must be"),
        ({"labels": torch.tensor([0, 1, 2, 3, 0, 1])}, "labels contain 3, but classes range from 0 to 2"),
        ({"labels": torch.tensor([0, 1, 2, -1, 0, 1])}, "labels contain -1"),
        ({"labels": torch.zeros(5, dtype=torch.long)}, "features cover 6 images, but there are 5 labels"),
    ],
)  # fmt: skip
def test_invalid_values(change, message):
    signals, labels = pool(6)
    arguments = {"method": "craig", "signals": signals, "labels": labels, "fraction": 0.5} | change
    with pytest.raises(UserError, match=f".*{message}"):
        select(**arguments)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: {"features": 3 * s.features}, "features must have norm 1, but row 0 has 3; divide"),
        (lambda s: {"features": s.features[:, :5]}, "features must have norm 1"),
        (lambda s: {"text": s.text[:, :5]}, "features differ in width: features 8, text 5"),
        (lambda s: {"logits": s.logits[:, :2]}, "signals differ in classes: logits 2, val_logits 3, text 3"),
        (lambda s: {"logits": s.logits[0]}, "logits must be logits"),
        (lambda s: {"logits": s.logits.index_fill(0, torch.tensor(4), torch.nan)}, "not finite, first in row 4"),
        (lambda s: {"correct": s.correct.T}, "correct cover"),
        (lambda s: {"val_labels": s.val_labels[:4]}, "val_features cover 9 images, but there are 4 labels"),
        (lambda s: {"val_labels": s.val_labels + 1}, "val_labels contain 3"),
    ],
)
def test_signals_that_do_not_fit_together(change, message):
    signals, labels = pool(7)
    with pytest.raises(UserError, match=message):
        select("craig", replace(signals, **change(signals)), labels, 0.5)


def test_a_margin_needs_two_classes_and_forgetting_right_or_wrong():
    with pytest.raises(UserError, match="a margin needs two classes"):
        select("uncertainty", Signals(logits=torch.zeros(4, 1)), torch.zeros(4, dtype=torch.long), 0.5)
    with pytest.raises(UserError, match="correct must contain True or False"):
        select("forgetting", Signals(correct=torch.rand(3, 4)), torch.zeros(4, dtype=torch.long), 0.5)
