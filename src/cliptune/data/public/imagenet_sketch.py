"""ImageNet-Sketch: black and white drawings of ImageNet's classes."""

from __future__ import annotations

from cliptune.data.public.common.imagenet_variant import ImageNetVariant
from cliptune.data.public.common.recipe import HUB_DATASETS, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts


class ImageNetSketch(ImageNetVariant):
    """Wang et al., Learning Robust Global Representations by Penalizing Local Predictive Power, NeurIPS 2019,
    https://arxiv.org/abs/1905.13549."""

    spec = DatasetSpec(
        name="imagenet_sketch",
        title="ImageNetSketch",
        layouts=(
            Layout("CoOp", "imagenet-sketch", "images"),
            *archive_layouts("imagenet-sketch", "imagenet-sketch", "images"),
            Layout("archive", "imagenet-sketch", "sketch"),
            Layout("archive", "", "sketch"),
        ),
        num_classes=1000,
        split_sizes=(0, 0, 50_889),
        classnames_sha256="571ae1c583b4",
        source="ImageNet-Sketch.zip, see https://github.com/HaohanWang/ImageNet-Sketch",
        caveats=("A test set only.", "Its archive unpacks as `sketch`; the CoOp layout calls that folder `images`."),
        recipe=Recipe(
            remote_files=(RemoteFile(HUB_DATASETS + "songweig/imagenet_sketch/resolve/main/data/ImageNet-Sketch.zip"),),
            moves=(("sketch", "imagenet-sketch/images"),),
            gigabytes=(0, 7.8),
        ),
    )
