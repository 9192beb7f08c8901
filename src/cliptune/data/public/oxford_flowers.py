"""Oxford Flowers: 102 kinds of flowers."""

from __future__ import annotations

from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset


class OxfordFlowers(SplitDataset):
    """Nilsback and Zisserman, Automated Flower Classification over a Large Number of Classes, ICVGIP 2008,
    https://www.robots.ox.ac.uk/~vgg/data/flowers/102/."""

    card = DatasetSpec(
        name="oxford_flowers",
        title="OxfordFlowers",
        layouts=(
            Layout("CoOp", "oxford_flowers", "jpg"),
            Layout("torchvision", "flowers-102", "jpg"),
            *archive_layouts("oxford_flowers", "oxford_flowers", "jpg"),
            # with masks: Prompt_Tuning_Datasets_with_Foreground
            Layout("archive", "flowers-102/oxford_flowers", "jpg"),
        ),
        classes=102,
        counts=(4093, 1633, 2463),
        split="split_zhou_OxfordFlowers.json",
        split_sha256="2f50c42fc1a1",
        classnames_sha256="0d27092c2140",
        templates=("a photo of a {}, a type of flower.",),
        masks="flat",
        source=(
            "oxford_flowers.zip of https://huggingface.co/zhengli97/prompt_learning_dataset holds pictures and split; "
            "the split alone is linked in https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md, the pictures are "
            "102flowers.tgz at https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
        ),
        caveats=(
            "The official cut of 1,020/1,020/6,149 pictures is another one; its numbers do not compare.",
            "The split's groups do not come in the order of labels, which decides what a seed draws.",
        ),
    )
