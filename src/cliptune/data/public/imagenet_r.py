"""ImageNet-R: art, cartoons, toys and other renditions of 200 of ImageNet's classes."""

from __future__ import annotations

from cliptune.data.public.common.imagenet_variant import ImageNetVariant
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts


class ImageNetR(ImageNetVariant):
    """Hendrycks et al., The Many Faces of Robustness, ICCV 2021, https://arxiv.org/abs/2006.16241."""

    subset = "r"
    card = DatasetSpec(
        name="imagenet_r",
        title="ImageNetR",
        layouts=(
            Layout("CoOp", "imagenet-rendition", "imagenet-r"),
            *archive_layouts("imagenet-rendition", "imagenet-rendition", "imagenet-r"),
            Layout("archive", "", "imagenet-r"),
        ),
        classes=200,
        counts=(0, 0, 30_000),
        classnames_sha256="79cac199a914",
        source="imagenet-r.tar, see https://github.com/hendrycks/imagenet-r",
        caveats=("A set to test on alone.", "Told apart are its own 200 classes, not ImageNet's 1,000."),
    )
