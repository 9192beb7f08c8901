"""Food-101: 101 dishes."""

from __future__ import annotations

from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset


class Food101(SplitDataset):
    """Bossard et al., Food-101: Mining Discriminative Components with Random Forests, ECCV 2014,
    https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/."""

    card = DatasetSpec(
        name="food101",
        title="Food101",
        layouts=(
            Layout("CoOp", "food-101", "images"),  # torchvision's as well
            *archive_layouts("food101", "food-101", "images"),
        ),
        classes=101,
        counts=(50500, 20200, 30300),
        split="split_zhou_Food101.json",
        split_sha256="7c3d456c4f34",
        classnames_sha256="efe7060c0e6a",
        templates=("a photo of {}, a type of food.",),
        masks="class",
        source=(
            "food101.zip of https://huggingface.co/zhengli97/prompt_learning_dataset holds pictures and split; the "
            "split alone is linked in https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md, the pictures are "
            "food-101.tar.gz at https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/"
        ),
        caveats=(
            "The official cut of 75,750/25,250 pictures, which torchvision uses, is another one; its numbers do not "
            "compare.",
            "The sentence has no article before the dish: a photo of {}, a type of food.",
        ),
    )
