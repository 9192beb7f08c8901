"""The classification loss, with one class in an image and with several."""

import torch
import torch.nn.functional as F

from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch
from tiny_clips import normal

LOGITS, LABELS = normal(4, 5, std=3), torch.tensor([0, 2, 1, 4])


def batch(*shown, labels=LABELS):
    targets = torch.zeros(len(shown), 1 + max(map(max, shown))) if shown else None
    for i, classes in enumerate(shown):
        targets[i, list(classes)] = 1
    return Batch(torch.empty(len(labels), 3, 1, 1), labels, targets=targets)


def test_without_targets_it_is_cross_entropy_bit_for_bit():
    assert torch.equal(classification_loss(LOGITS, batch()), F.cross_entropy(LOGITS, LABELS))


def test_single_label_targets_equal_cross_entropy():
    alone = batch(*((int(label),) for label in LABELS))
    torch.testing.assert_close(classification_loss(LOGITS, alone), F.cross_entropy(LOGITS, LABELS))


def test_every_class_in_an_image_counts():
    several = batch((0, 3), (2,), (0, 1, 2), (4,))
    surprise = -LOGITS.log_softmax(1)
    expected = surprise[0, [0, 3]].sum() + surprise[1, 2] + surprise[2, :3].sum() + surprise[3, 4]
    torch.testing.assert_close(classification_loss(LOGITS, several), expected / 4)


def test_columns_without_a_class_are_negatives():
    few = batch((0, 1), (1,), (0,), (1,))  # targets of 2 columns, logits of 5
    wide = batch((0, 1), (1,), (0,), (1,))
    wide = Batch(wide.images, wide.labels, targets=F.pad(wide.targets, (0, 3)))
    assert torch.equal(classification_loss(LOGITS, few), classification_loss(LOGITS, wide))
    assert classification_loss(LOGITS, few) > classification_loss(LOGITS[:, :2], few)


def test_the_gradient_is_classes_times_probability_minus_target():
    logits, several = LOGITS.clone().requires_grad_(), batch((0, 3), (2,), (0, 1, 2), (4,))
    (gradient,) = torch.autograd.grad(classification_loss(logits, several), logits)
    count = several.targets.sum(1, keepdim=True)
    torch.testing.assert_close(gradient, (count * LOGITS.softmax(1) - several.targets) / 4)


def test_weights_multiply_the_loss():
    weights = torch.tensor([2.0, 0.5, 1.0, 0.5])
    weighted = Batch(torch.empty(4, 3, 1, 1), LABELS, weights=weights)
    surprise = -LOGITS.log_softmax(1)
    expected = sum(w * surprise[i, label] for i, (w, label) in enumerate(zip(weights, LABELS, strict=True))) / 4
    torch.testing.assert_close(classification_loss(LOGITS, weighted), expected)
    several = batch((0, 3), (2,), (0, 1, 2), (4,))
    heavy = Batch(several.images, several.labels, targets=several.targets, weights=weights)
    expected = 2 * surprise[0, [0, 3]].sum() + surprise[1, 2] / 2 + surprise[2, :3].sum() + surprise[3, 4] / 2
    torch.testing.assert_close(classification_loss(LOGITS, heavy), expected / 4)


def test_equal_weights_change_nothing():
    ones = Batch(torch.empty(4, 3, 1, 1), LABELS, weights=torch.ones(4))
    torch.testing.assert_close(classification_loss(LOGITS, ones), classification_loss(LOGITS, batch()))
