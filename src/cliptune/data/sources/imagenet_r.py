"""ImageNet-R: art, cartoons, toys and other renditions of 200 of ImageNet's classes."""

from __future__ import annotations

from cliptune.data.card import Card, Layout, unpacked
from cliptune.data.wnid_test_set import WnidTestSet


class ImageNetR(WnidTestSet):
    """Hendrycks et al., The Many Faces of Robustness, ICCV 2021, https://arxiv.org/abs/2006.16241."""

    subset = "r"
    card = Card(
        name="imagenet_r",
        title="ImageNetR",
        layouts=(
            Layout("CoOp", "imagenet-rendition", "imagenet-r"),
            *unpacked("imagenet-rendition", "imagenet-rendition", "imagenet-r"),
            Layout("archive", "", "imagenet-r"),
        ),
        classes=200,
        counts=(0, 0, 30_000),
        names_print="79cac199a914",
        source="imagenet-r.tar, see https://github.com/hendrycks/imagenet-r",
        traps=("A set to test on alone.", "Told apart are its own 200 classes, not ImageNet's 1,000."),
    )
