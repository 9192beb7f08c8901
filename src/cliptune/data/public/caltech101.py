"""Caltech101: 100 kinds of objects."""

from __future__ import annotations

from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset


class Caltech101(SplitDataset):
    """Fei-Fei et al., Learning Generative Visual Models from Few Training Examples, CVPR-W 2004,
    https://data.caltech.edu/records/mzrjq-6wc02."""

    card = DatasetSpec(
        name="caltech101",
        title="Caltech101",
        layouts=(
            Layout("CoOp", "caltech-101", "101_ObjectCategories"),
            Layout("torchvision", "caltech101", "101_ObjectCategories"),
            *archive_layouts("caltech-101", "caltech-101", "101_ObjectCategories"),
        ),
        classes=100,
        counts=(4128, 1649, 2465),
        split="split_zhou_Caltech101.json",
        split_sha256="52ce83205ff8",
        classnames_sha256="84f9ff49dce5",
        masks="class",
        source=(
            "caltech-101.zip of https://huggingface.co/zhengli97/prompt_learning_dataset holds pictures and split; "
            "the split alone is linked in https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md, the pictures are "
            "caltech-101.zip at https://data.caltech.edu/records/mzrjq-6wc02"
        ),
        caveats=(
            "The split leaves out the folders BACKGROUND_Google and Faces_easy, so it has 100 classes; torchvision "
            "keeps Faces_easy and has 101.",
            "Labels follow the folders' original names (Faces, Leopards, Motorbikes, accordion, ...), so face, "
            "leopard and motorbike come first.",
            "The class water_lilly keeps its spelling.",
        ),
    )
