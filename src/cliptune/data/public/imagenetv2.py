"""ImageNetV2: new test pictures for ImageNet's classes, collected as the first ones were."""

from __future__ import annotations

from cliptune.data.public.common.imagenet_variant import ImageNetVariant
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts


class ImageNetV2(ImageNetVariant):
    """Recht et al., Do ImageNet Classifiers Generalize to ImageNet?, ICML 2019, https://arxiv.org/abs/1902.10811; the
    "matched frequency" pictures."""

    numbered = True
    card = DatasetSpec(
        name="imagenetv2",
        title="ImageNetV2",
        layouts=(
            Layout("CoOp", "imagenetv2", "imagenetv2-matched-frequency-format-val"),
            *archive_layouts("imagenetv2", "imagenetv2", "imagenetv2-matched-frequency-format-val"),
            Layout("archive", "", "imagenetv2-matched-frequency-format-val"),
        ),
        classes=1000,
        counts=(0, 0, 10_000),
        classnames_sha256="571ae1c583b4",
        source="imagenetv2-matched-frequency.tar.gz, see https://github.com/modestyachts/ImageNetV2",
        caveats=(
            "A set to test on alone.",
            "Folder k holds class k: sorted as text, as folder readers do, 10 comes before 2 and labels are wrong.",
        ),
    )
