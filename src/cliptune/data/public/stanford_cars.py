"""Stanford Cars: 196 models of cars."""

from __future__ import annotations

from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset


class StanfordCars(SplitDataset):
    """Krause et al., 3D Object Representations for Fine-Grained Categorization, ICCV-W 2013."""

    card = DatasetSpec(
        name="stanford_cars",
        title="StanfordCars",
        layouts=(
            Layout("CoOp", "stanford_cars", "", "cars_train"),  # torchvision's as well
            *archive_layouts("stanford_cars", "stanford_cars", "", "cars_train"),
        ),
        classes=196,
        counts=(6509, 1635, 8041),
        split="split_zhou_StanfordCars.json",
        split_sha256="40acee7aa65c",
        classnames_sha256="2caca90b5c02",
        masks="flat",
        source=(
            "stanford_cars.zip of https://huggingface.co/zhengli97/prompt_learning_dataset holds pictures and split; "
            "the split alone is linked in https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md; the original "
            "site is gone, so take them from that archive too, cars_train and cars_test side by side"
        ),
        caveats=(
            "The original download is gone, and torchvision no longer offers one.",
            "cars_train and cars_test use the same file names, so a flat folder of masks can serve only one of them.",
            "Class names begin with the year (2012 Audi TTS Coupe), unlike the annotations' names.",
        ),
    )
