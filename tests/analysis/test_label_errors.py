"""Confident learning on probabilities with known answers."""

import numpy as np
import pytest

from cliptune.analysis.label_errors import likely_label_errors


def test_the_confident_joint_by_hand():
    shares = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.3, 0.7, 0], [0.2, 0.8, 0], [0.9, 0.1, 0]])
    # Thresholds: class 0, mean of 0.9, 0.8, 0.3; class 1, mean of 0.8, 0.1. Class 2 has no images.
    found = likely_label_errors(shares, [0, 0, 0, 1, 1])
    assert [(e.index, e.label, e.suggested) for e in found] == [(4, 1, 0), (2, 0, 1)]
    assert [e.margin for e in found] == pytest.approx([-0.8, -0.4])


def test_a_class_without_images_is_never_suggested():
    shares = np.array([[0.1, 0.1, 0.8], [0.1, 0.2, 0.7]])
    assert likely_label_errors(shares, [0, 1]) == [] == likely_label_errors(shares[:0], [])


def test_flipped_labels_come_first():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 400)
    logits = rng.normal(size=(400, 4)) + 5 * np.eye(4)[true]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    flipped = rng.choice(400, 20, replace=False)
    labels = true.copy()
    labels[flipped] = (true[flipped] + 1) % 4
    found = [e.index for e in likely_label_errors(shares, labels)]
    assert len(set(found[:20]) & set(flipped.tolist())) >= 16
