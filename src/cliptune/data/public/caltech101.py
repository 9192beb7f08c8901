"""Caltech101: 100 kinds of objects."""

from __future__ import annotations

from cliptune.data.public.common.recipe import DRIVE, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, archive_layouts, collection_source
from cliptune.data.public.common.split_dataset import SplitDataset


class Caltech101(SplitDataset):
    """Fei-Fei et al., Learning Generative Visual Models from Few Training Examples, CVPR-W 2004,
    https://data.caltech.edu/records/mzrjq-6wc02."""

    spec = DatasetSpec(
        name="caltech101",
        title="Caltech101",
        layouts=(
            Layout("CoOp", "caltech-101", "101_ObjectCategories"),
            Layout("torchvision", "caltech101", "101_ObjectCategories"),
            *archive_layouts("caltech-101", "caltech-101", "101_ObjectCategories"),
        ),
        num_classes=100,
        split_sizes=(4128, 1649, 2465),
        split_file="split_zhou_Caltech101.json",
        split_sha256="52ce83205ff8",
        classnames_sha256="84f9ff49dce5",
        source=collection_source(
            "caltech-101.zip", "the images are caltech-101.zip at https://data.caltech.edu/records/mzrjq-6wc02"
        ),
        caveats=(
            "The split omits the folders BACKGROUND_Google and Faces_easy, so it has 100 classes; torchvision keeps "
            "Faces_easy and has 101.",
            "Labels follow the original folder names (Faces, Leopards, Motorbikes, accordion, ...), so face, leopard "
            "and motorbike come first.",
            "The class water_lilly keeps its spelling.",
        ),
        recipe=Recipe(
            remote_files=(
                RemoteFile(
                    "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
                    "md5:3138e1922a9193bfa496528edbbc45d0",
                    inner_archive="caltech-101/101_ObjectCategories.tar.gz",
                ),
            ),
            moves=(("101_ObjectCategories", "caltech-101/101_ObjectCategories"),),
            split=RemoteFile(DRIVE + "1hyarUivQE36mY6jSomru6Fjd-JzwcCzN", name="split_zhou_Caltech101.json"),
            gigabytes=(0.14, 0.14),
        ),
    )
