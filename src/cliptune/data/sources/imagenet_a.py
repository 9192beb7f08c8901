"""ImageNet-A: photographs of 200 of ImageNet's classes that a ResNet-50 got wrong."""

from __future__ import annotations

from cliptune.data.card import Card, Layout, unpacked
from cliptune.data.wnid_test_set import WnidTestSet


class ImageNetA(WnidTestSet):
    """Hendrycks et al., Natural Adversarial Examples, CVPR 2021, https://arxiv.org/abs/1907.07174."""

    subset = "a"
    card = Card(
        name="imagenet_a",
        title="ImageNetA",
        layouts=(
            Layout("CoOp", "imagenet-adversarial", "imagenet-a"),
            *unpacked("imagenet-adversarial", "imagenet-adversarial", "imagenet-a"),
            Layout("archive", "", "imagenet-a"),
        ),
        classes=200,
        counts=(0, 0, 7_500),
        names_print="4b36c17b1b1b",
        source="imagenet-a.tar, see https://github.com/hendrycks/natural-adv-examples",
        traps=("A set to test on alone.", "Told apart are its own 200 classes, not ImageNet's 1,000."),
    )
