"""Describable Textures: 47 textures."""

from __future__ import annotations

from cliptune.data.public.common.recipe import DRIVE, OXFORD, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout, collection_source
from cliptune.data.public.common.split_dataset import SplitDataset


class DescribableTextures(SplitDataset):
    """Cimpoi et al., Describing Textures in the Wild, CVPR 2014, https://www.robots.ox.ac.uk/~vgg/data/dtd/."""

    spec = DatasetSpec(
        name="dtd",
        title="DescribableTextures",
        layouts=(
            Layout("CoOp", "dtd", "images"),
            Layout("torchvision", "dtd/dtd", "images"),  # also an archive unpacked into a folder of its name
            # with masks: Prompt_Tuning_Datasets_with_Foreground
            Layout("archive", "dtd/dtd/dtd", "images"),
        ),
        num_classes=47,
        split_sizes=(2820, 1128, 1692),
        split_file="split_zhou_DescribableTextures.json",
        split_sha256="f26ebeccd2b5",
        classnames_sha256="681d23b9cd3c",
        templates=("{} texture.",),
        source=collection_source(
            "dtd.zip", "the images are dtd-r1.0.1.tar.gz at https://www.robots.ox.ac.uk/~vgg/data/dtd/"
        ),
        caveats=(
            "The ten official splits (a third each for training, validation and test) are different; their results do "
            "not compare.",
            "The class polka-dotted keeps its hyphen.",
        ),
        recipe=Recipe(
            remote_files=(
                RemoteFile(OXFORD + "dtd/download/dtd-r1.0.1.tar.gz", "md5:fff73e5086ae6bdbea199a49dfb8a4c1"),
            ),
            moves=(("dtd", "dtd"),),
            split=RemoteFile(DRIVE + "1u3_QfB467jqHgNXC00UIzbLZRQCg2S7x", name="split_zhou_DescribableTextures.json"),
            gigabytes=(0.63, 0.63),
        ),
    )
