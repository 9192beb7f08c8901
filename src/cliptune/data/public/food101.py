"""Food-101: 101 dishes."""

from __future__ import annotations

from cliptune.data.public.common.recipe import DRIVE, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts, collection_source
from cliptune.data.public.common.split_dataset import SplitDataset


class Food101(SplitDataset):
    """Bossard et al., Food-101: Mining Discriminative Components with Random Forests, ECCV 2014,
    https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/."""

    spec = DatasetSpec(
        name="food101",
        title="Food101",
        layouts=(
            Layout("CoOp", "food-101", "images"),  # also torchvision's
            *archive_layouts("food101", "food-101", "images"),
        ),
        num_classes=101,
        split_sizes=(50500, 20200, 30300),
        split_file="split_zhou_Food101.json",
        split_sha256="7c3d456c4f34",
        classnames_sha256="efe7060c0e6a",
        templates=("a photo of {}, a type of food.",),
        source=collection_source(
            "food101.zip",
            "the images are food-101.tar.gz at https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
        ),
        caveats=(
            "The official split of 75,750/25,250 images, which torchvision uses, is different; its results do not "
            "compare.",
            "The template has no article before the dish: a photo of {}, a type of food.",
        ),
        recipe=Recipe(
            remote_files=(
                RemoteFile("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz", "md5:85eeb15f3717b99a5da872d97d918f87"),
            ),
            moves=(("food-101", "food-101"),),
            split=RemoteFile(DRIVE + "1QK0tGi096I0Ba6kggatX1ee6dJFIcEJl", name="split_zhou_Food101.json"),
            gigabytes=(5.0, 5.0),
        ),
    )
