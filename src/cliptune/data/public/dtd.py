"""Describable Textures: 47 textures."""

from __future__ import annotations

from cliptune.data.public.common.spec import DatasetSpec, Layout
from cliptune.data.public.common.split_dataset import SplitDataset


class DescribableTextures(SplitDataset):
    """Cimpoi et al., Describing Textures in the Wild, CVPR 2014, https://www.robots.ox.ac.uk/~vgg/data/dtd/."""

    card = DatasetSpec(
        name="dtd",
        title="DescribableTextures",
        layouts=(
            Layout("CoOp", "dtd", "images"),
            Layout("torchvision", "dtd/dtd", "images"),  # and an archive's, unpacked into a folder of its name
            # with masks: Prompt_Tuning_Datasets_with_Foreground
            Layout("archive", "dtd/dtd/dtd", "images"),
        ),
        classes=47,
        counts=(2820, 1128, 1692),
        split="split_zhou_DescribableTextures.json",
        split_sha256="f26ebeccd2b5",
        classnames_sha256="681d23b9cd3c",
        templates=("{} texture.",),
        masks="class",
        source=(
            "dtd.zip of https://huggingface.co/zhengli97/prompt_learning_dataset holds pictures and split; the split "
            "alone is linked in https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md, the pictures are "
            "dtd-r1.0.1.tar.gz at https://www.robots.ox.ac.uk/~vgg/data/dtd/"
        ),
        caveats=(
            "The ten official cuts of a third each are other ones; their numbers do not compare.",
            "The class polka-dotted keeps its hyphen.",
        ),
    )
