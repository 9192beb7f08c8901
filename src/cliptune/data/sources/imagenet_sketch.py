"""ImageNet-Sketch: black and white drawings of ImageNet's classes."""

from __future__ import annotations

from cliptune.data.card import Card, Layout, unpacked
from cliptune.data.wnid_test_set import WnidTestSet


class ImageNetSketch(WnidTestSet):
    """Wang et al., Learning Robust Global Representations by Penalizing Local Predictive Power, NeurIPS 2019,
    https://arxiv.org/abs/1905.13549."""

    card = Card(
        name="imagenet_sketch",
        title="ImageNetSketch",
        layouts=(
            Layout("CoOp", "imagenet-sketch", "images"),
            *unpacked("imagenet-sketch", "imagenet-sketch", "images"),
            Layout("archive", "imagenet-sketch", "sketch"),
            Layout("archive", "", "sketch"),
        ),
        classes=1000,
        counts=(0, 0, 50_889),
        names_print="571ae1c583b4",
        source="ImageNet-Sketch.zip, see https://github.com/HaohanWang/ImageNet-Sketch",
        traps=("A set to test on alone.", "Its archive unpacks as `sketch`; the CoOp layout calls that `images`."),
    )
