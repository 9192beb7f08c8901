"""EuroSAT: ten kinds of land cover in satellite images."""

from __future__ import annotations

from cliptune.data.public.common.recipe import DRIVE, HUB_DATASETS, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts, collection_source
from cliptune.data.public.common.split_dataset import SplitDataset


class EuroSAT(SplitDataset):
    """Helber et al., EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and Land Cover Classification,
    2019, https://github.com/phelber/EuroSAT."""

    spec = DatasetSpec(
        name="eurosat",
        title="EuroSAT",
        layouts=(
            Layout("CoOp", "eurosat", "2750"),  # also torchvision's
            Layout("archive", "eurosat", "EuroSAT_RGB"),
            *archive_layouts("eurosat", "eurosat", "2750"),
        ),
        num_classes=10,
        split_sizes=(13500, 5400, 8100),
        split_file="split_zhou_EuroSAT.json",
        split_sha256="541503a77d0b",
        classnames_sha256="bcff3a8022b6",
        templates=("a centered satellite photo of {}.",),
        source=collection_source("eurosat.zip", "the images are EuroSAT_RGB.zip at https://zenodo.org/records/7711810"),
        caveats=(
            "Class names differ from folder names: AnnualCrop is Annual Crop Land, SeaLake is Sea or Lake.",
            "Images are 64 pixels wide; the archive with thirteen bands (.tif) is a different one.",
        ),
        recipe=Recipe(
            remote_files=(
                RemoteFile(
                    HUB_DATASETS + "torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
                    "md5:c8fa014336c82ac7804f0398fcb19387",
                ),
            ),
            moves=(("2750", "eurosat/2750"),),
            split=RemoteFile(DRIVE + "1Ip7yaCWFi0eaOFUGga0lUdVi_DDQth1o", name="split_zhou_EuroSAT.json"),
            gigabytes=(0.09, 0.09),
        ),
    )
