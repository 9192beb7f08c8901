"""UCF101: 101 human actions, the middle frame of each video."""

from __future__ import annotations

from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset


class UCF101(SplitDataset):
    """Soomro et al., UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild, 2012,
    https://www.crcv.ucf.edu/data/UCF101.php."""

    card = DatasetSpec(
        name="ucf101",
        title="UCF101",
        layouts=(
            Layout("CoOp", "ucf101", "UCF-101-midframes"),
            *archive_layouts("ucf101", "ucf101", "UCF-101-midframes"),
        ),
        classes=101,
        counts=(7639, 1898, 3783),
        split="split_zhou_UCF101.json",
        split_sha256="d78cb834f7c5",
        classnames_sha256="d22e81fba7eb",
        templates=("a photo of a person doing {}.",),
        masks="class",
        source=(
            "ucf101.zip of https://huggingface.co/zhengli97/prompt_learning_dataset holds pictures and split; the "
            "split alone is linked in https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md; the middle frames "
            "are in that archive; https://www.crcv.ucf.edu/data/UCF101.php has the videos only"
        ),
        caveats=(
            "The pictures are the middle frames of the videos; torchvision's UCF101 reads the videos themselves.",
            "Folders are called Apply_Eye_Makeup, files keep v_ApplyEyeMakeup_g12_c03.jpg.",
        ),
    )
