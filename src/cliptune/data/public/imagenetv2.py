"""ImageNetV2: new test images for ImageNet's classes, collected like the original ones."""

from __future__ import annotations

from cliptune.data.public.common.imagenet_variant import ImageNetVariant
from cliptune.data.public.common.recipe import HUB_DATASETS, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts


class ImageNetV2(ImageNetVariant):
    """Recht et al., Do ImageNet Classifiers Generalize to ImageNet?, ICML 2019, https://arxiv.org/abs/1902.10811; the
    "matched frequency" images."""

    numbered = True
    spec = DatasetSpec(
        name="imagenetv2",
        title="ImageNetV2",
        layouts=(
            Layout("CoOp", "imagenetv2", "imagenetv2-matched-frequency-format-val"),
            *archive_layouts("imagenetv2", "imagenetv2", "imagenetv2-matched-frequency-format-val"),
            Layout("archive", "", "imagenetv2-matched-frequency-format-val"),
        ),
        num_classes=1000,
        split_sizes=(0, 0, 10_000),
        classnames_sha256="571ae1c583b4",
        source="imagenetv2-matched-frequency.tar.gz, see https://github.com/modestyachts/ImageNetV2",
        caveats=(
            "A test set only.",
            "Folder k contains class k; readers that sort folder names as text put 10 before 2 and get wrong labels.",
        ),
        recipe=Recipe(
            remote_files=(
                RemoteFile(HUB_DATASETS + "vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz"),
            ),
            moves=(("imagenetv2-matched-frequency-format-val", "imagenetv2/imagenetv2-matched-frequency-format-val"),),
            gigabytes=(0, 1.3),
        ),
    )
