"""SUN397: 397 scenes."""

from __future__ import annotations

from cliptune.data.public.common.recipe import DRIVE, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts, collection_source
from cliptune.data.public.common.split_dataset import SplitDataset


class SUN397(SplitDataset):
    """Xiao et al., SUN Database, CVPR 2010, https://vision.princeton.edu/projects/2010/SUN/."""

    spec = DatasetSpec(
        name="sun397",
        title="SUN397",
        layouts=(
            Layout("CoOp", "sun397", "SUN397"),
            Layout("torchvision", "", "SUN397"),
            *archive_layouts("sun397", "sun397", "SUN397"),
            # with masks: Prompt_Tuning_Datasets_with_Foreground
            *(Layout("archive", "sun-397/sun397", images, "a") for images in ("SUN397", "sun397")),
        ),
        num_classes=397,
        split_sizes=(15880, 3970, 19850),
        split_file="split_zhou_SUN397.json",
        split_sha256="9847f9ef6110",
        mask_layout="SUN397",
        source=collection_source(
            "sun397.zip", "the images are SUN397.tar.gz at https://vision.princeton.edu/projects/2010/SUN/"
        ),
        caveats=(
            "The split uses 39,700 of more than 108,000 images; torchvision has no split.",
            "Class names reverse the folder names: a/apse/indoor is indoor apse.",
        ),
        recipe=Recipe(
            remote_files=(
                RemoteFile(
                    "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
                    "md5:8ca2778205c41d23104230ba66911c7a",
                ),
            ),
            moves=(("SUN397", "sun397/SUN397"),),
            split=RemoteFile(DRIVE + "1y2RD81BYuiyvebdN-JymPfyWYcd8_MUq", name="split_zhou_SUN397.json"),
            gigabytes=(0, 39),
        ),
    )
