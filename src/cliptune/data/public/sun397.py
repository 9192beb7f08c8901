"""SUN397: 397 scenes."""

from __future__ import annotations

from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset


class SUN397(SplitDataset):
    """Xiao et al., SUN Database, CVPR 2010, https://vision.princeton.edu/projects/2010/SUN/."""

    card = DatasetSpec(
        name="sun397",
        title="SUN397",
        layouts=(
            Layout("CoOp", "sun397", "SUN397"),
            Layout("torchvision", "", "SUN397"),
            *archive_layouts("sun397", "sun397", "SUN397"),
            # with masks: Prompt_Tuning_Datasets_with_Foreground
            *(Layout("archive", "sun-397/sun397", images, "a") for images in ("SUN397", "sun397")),
        ),
        classes=397,
        counts=(15880, 3970, 19850),
        split="split_zhou_SUN397.json",
        split_sha256="9847f9ef6110",
        masks="SUN397",
        source=(
            "sun397.zip of https://huggingface.co/zhengli97/prompt_learning_dataset holds pictures and split; the "
            "split alone is linked in https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md, the pictures are "
            "SUN397.tar.gz at https://vision.princeton.edu/projects/2010/SUN/"
        ),
        caveats=(
            "Of more than 108,000 pictures the split uses 39,700; torchvision knows no split at all.",
            "Class names turn the folders round: a/apse/indoor is indoor apse.",
        ),
    )
