"""Oxford Flowers: 102 flowers."""

from __future__ import annotations

from cliptune.data.public.common.recipe import DRIVE, OXFORD, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts, collection_source
from cliptune.data.public.common.split_dataset import SplitDataset


class OxfordFlowers(SplitDataset):
    """Nilsback and Zisserman, Automated Flower Classification over a Large Number of Classes, ICVGIP 2008,
    https://www.robots.ox.ac.uk/~vgg/data/flowers/102/."""

    spec = DatasetSpec(
        name="oxford_flowers",
        title="OxfordFlowers",
        layouts=(
            Layout("CoOp", "oxford_flowers", "jpg"),
            Layout("torchvision", "flowers-102", "jpg"),
            *archive_layouts("oxford_flowers", "oxford_flowers", "jpg"),
            # with masks: Prompt_Tuning_Datasets_with_Foreground
            Layout("archive", "flowers-102/oxford_flowers", "jpg"),
        ),
        num_classes=102,
        split_sizes=(4093, 1633, 2463),
        split_file="split_zhou_OxfordFlowers.json",
        split_sha256="2f50c42fc1a1",
        classnames_sha256="0d27092c2140",
        templates=("a photo of a {}, a type of flower.",),
        mask_layout="flat",
        source=collection_source(
            "oxford_flowers.zip",
            "the images are 102flowers.tgz at https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        ),
        caveats=(
            "The official split of 1,020/1,020/6,149 images is different; its results do not compare.",
            "The split lists the classes in another order than their labels; this order affects which images a seed "
            "draws.",
        ),
        recipe=Recipe(
            aliases=("flowers-102",),
            remote_files=(RemoteFile(OXFORD + "flowers/102/102flowers.tgz", "md5:52808999861908f626f3c1f4e79d11fa"),),
            moves=(("jpg", "oxford_flowers/jpg"),),
            split=RemoteFile(DRIVE + "1Pp0sRXzZFZq15zVOzKjKBu4A9i01nozT", name="split_zhou_OxfordFlowers.json"),
            gigabytes=(0, 0.34),
        ),
    )
