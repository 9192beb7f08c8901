"""ImageNet-A: photographs of 200 of ImageNet's classes that a ResNet-50 misclassified."""

from __future__ import annotations

from cliptune.data.public.common.imagenet_variant import ImageNetVariant
from cliptune.data.public.common.recipe import BERKELEY, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts


class ImageNetA(ImageNetVariant):
    """Hendrycks et al., Natural Adversarial Examples, CVPR 2021, https://arxiv.org/abs/1907.07174."""

    subset = "a"
    spec = DatasetSpec(
        name="imagenet_a",
        title="ImageNetA",
        layouts=(
            Layout("CoOp", "imagenet-adversarial", "imagenet-a"),
            *archive_layouts("imagenet-adversarial", "imagenet-adversarial", "imagenet-a"),
            Layout("archive", "", "imagenet-a"),
        ),
        num_classes=200,
        split_sizes=(0, 0, 7_500),
        classnames_sha256="4b36c17b1b1b",
        source="imagenet-a.tar, see https://github.com/hendrycks/natural-adv-examples",
        caveats=("A test set only.", "Images are classified among its own 200 classes, not ImageNet's 1,000."),
        recipe=Recipe(
            aliases=("imagenet-a",),
            remote_files=(RemoteFile(BERKELEY + "imagenet-a.tar", "md5:c3e55429088dc681f30d81f4726b6595"),),
            moves=(("imagenet-a", "imagenet-adversarial/imagenet-a"),),
            gigabytes=(0.68, 0.69),
        ),
    )
