"""EuroSAT: ten kinds of land seen by satellite."""

from __future__ import annotations

from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset


class EuroSAT(SplitDataset):
    """Helber et al., EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and Land Cover Classification,
    2019, https://github.com/phelber/EuroSAT."""

    card = DatasetSpec(
        name="eurosat",
        title="EuroSAT",
        layouts=(
            Layout("CoOp", "eurosat", "2750"),  # torchvision's as well
            Layout("archive", "eurosat", "EuroSAT_RGB"),
            *archive_layouts("eurosat", "eurosat", "2750"),
        ),
        classes=10,
        counts=(13500, 5400, 8100),
        split="split_zhou_EuroSAT.json",
        split_sha256="541503a77d0b",
        classnames_sha256="bcff3a8022b6",
        templates=("a centered satellite photo of {}.",),
        masks="class",
        source=(
            "eurosat.zip of https://huggingface.co/zhengli97/prompt_learning_dataset holds pictures and split; the "
            "split alone is linked in https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md, the pictures are "
            "EuroSAT_RGB.zip at https://zenodo.org/records/7711810"
        ),
        caveats=(
            "Class names are not the folders' names: AnnualCrop is Annual Crop Land, SeaLake is Sea or Lake.",
            "Pictures are 64 pixels wide; the thirteen-band archive (.tif) is another one.",
        ),
    )
