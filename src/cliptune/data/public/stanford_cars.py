"""Stanford Cars: 196 car models."""

from __future__ import annotations

from cliptune.data.public.common.recipe import Recipe
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts, collection_source
from cliptune.data.public.common.split_dataset import SplitDataset


class StanfordCars(SplitDataset):
    """Krause et al., 3D Object Representations for Fine-Grained Categorization, ICCV-W 2013."""

    spec = DatasetSpec(
        name="stanford_cars",
        title="StanfordCars",
        layouts=(
            Layout("CoOp", "stanford_cars", "", "cars_train"),  # also torchvision's
            *archive_layouts("stanford_cars", "stanford_cars", "", "cars_train"),
        ),
        num_classes=196,
        split_sizes=(6509, 1635, 8041),
        split_file="split_zhou_StanfordCars.json",
        split_sha256="40acee7aa65c",
        classnames_sha256="2caca90b5c02",
        mask_layout="flat",
        source=collection_source(
            "stanford_cars.zip",
            "the original site is gone, so take the images from that archive too, cars_train next to cars_test",
        ),
        caveats=(
            "The original download is gone, and torchvision no longer offers one.",
            "cars_train and cars_test use the same file names, so a flat folder of masks fits only one of them.",
            "Class names begin with the year (2012 Audi TTS Coupe), unlike the names in the annotations.",
        ),
        recipe=Recipe(
            manual_steps="the site of StanfordCars is gone; use --from archive, or any copy with the folders "
            "cars_train and cars_test, and put them into {root}/stanford_cars",
            manual_archives={"cars_train.tgz": "stanford_cars", "cars_test.tgz": "stanford_cars"},
        ),
    )
