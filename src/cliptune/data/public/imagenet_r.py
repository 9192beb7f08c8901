"""ImageNet-R: art, cartoons, toys and other renditions of 200 of ImageNet's classes."""

from __future__ import annotations

from cliptune.data.public.common.imagenet_variant import ImageNetVariant
from cliptune.data.public.common.recipe import BERKELEY, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts


class ImageNetR(ImageNetVariant):
    """Hendrycks et al., The Many Faces of Robustness, ICCV 2021, https://arxiv.org/abs/2006.16241."""

    subset = "r"
    spec = DatasetSpec(
        name="imagenet_r",
        title="ImageNetR",
        layouts=(
            Layout("CoOp", "imagenet-rendition", "imagenet-r"),
            *archive_layouts("imagenet-rendition", "imagenet-rendition", "imagenet-r"),
            Layout("archive", "", "imagenet-r"),
        ),
        num_classes=200,
        split_sizes=(0, 0, 30_000),
        classnames_sha256="79cac199a914",
        source="imagenet-r.tar, see https://github.com/hendrycks/imagenet-r",
        caveats=("A test set only.", "Images are classified among its own 200 classes, not ImageNet's 1,000."),
        recipe=Recipe(
            aliases=("imagenet-r",),
            remote_files=(RemoteFile(BERKELEY + "imagenet-r.tar", "md5:a61312130a589d0ca1a8fca1f2bd3337"),),
            moves=(("imagenet-r", "imagenet-rendition/imagenet-r"),),
            gigabytes=(2.1, 2.2),
        ),
    )
