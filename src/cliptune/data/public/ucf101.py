"""UCF101: 101 human actions, one middle frame per video."""

from __future__ import annotations

from cliptune.data.public.common.recipe import Recipe
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts, collection_source
from cliptune.data.public.common.split_dataset import SplitDataset


class UCF101(SplitDataset):
    """Soomro et al., UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild, 2012,
    https://www.crcv.ucf.edu/data/UCF101.php."""

    spec = DatasetSpec(
        name="ucf101",
        title="UCF101",
        layouts=(
            Layout("CoOp", "ucf101", "UCF-101-midframes"),
            *archive_layouts("ucf101", "ucf101", "UCF-101-midframes"),
        ),
        num_classes=101,
        split_sizes=(7639, 1898, 3783),
        split_file="split_zhou_UCF101.json",
        split_sha256="d78cb834f7c5",
        classnames_sha256="d22e81fba7eb",
        templates=("a photo of a person doing {}.",),
        source=collection_source(
            "ucf101.zip",
            "the middle frames are in that archive; https://www.crcv.ucf.edu/data/UCF101.php has only the videos",
        ),
        caveats=(
            "The images are the middle frames of the videos; torchvision's UCF101 reads the videos themselves.",
            "Folders are named Apply_Eye_Makeup, files v_ApplyEyeMakeup_g12_c03.jpg.",
        ),
        recipe=Recipe(
            manual_steps="the original UCF101 is videos, of which the middle frames are needed; use --from archive, or "
            "download UCF-101-midframes.zip (https://drive.google.com/file/d/10Jqome3vtUA2keJkNanAiFpgbyC9Hc2O) and "
            "unpack it in {root}/ucf101",
            manual_archives={"UCF-101-midframes.zip": "ucf101"},
        ),
    )
