"""Oxford-IIIT Pets: 37 cat and dog breeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cliptune.data.exists import missing_files
from cliptune.data.public.common.recipe import DRIVE, OXFORD, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetLocation, DatasetSpec, Layout, archive_layouts, collection_source
from cliptune.data.public.common.split_dataset import SplitDataset
from cliptune.types import Example

#: The official masks, relative to the parent of the image folder: 1 is the pet, 2 background, 3 the border.
TRIMAPS = Path("annotations", "trimaps")


class OxfordPets(SplitDataset):
    """Parkhi et al., Cats and Dogs, CVPR 2012, https://www.robots.ox.ac.uk/~vgg/data/pets/."""

    spec = DatasetSpec(
        name="oxford_pets",
        title="OxfordPets",
        layouts=(
            Layout("CoOp", "oxford_pets", "images"),
            Layout("torchvision", "oxford-iiit-pet", "images"),
            *archive_layouts("oxford_pets", "oxford_pets", "images"),
        ),
        num_classes=37,
        split_sizes=(2944, 736, 3669),
        split_file="split_zhou_OxfordPets.json",
        split_sha256="d7f3ffe65b39",
        classnames_sha256="8e35ab44db27",
        templates=("a photo of a {}, a type of pet.",),
        mask_layout="flat",
        source=collection_source(
            "oxford_pets.zip", "the images are images.tar.gz at https://www.robots.ox.ac.uk/~vgg/data/pets/"
        ),
        caveats=(
            "Training and validation are a fixed random split of the official trainval list; the test list is the "
            "official one.",
            "Some suffixes are wrong: a few .jpg files are PNG or GIF images.",
        ),
        recipe=Recipe(
            aliases=("oxford-iiit-pet",),
            remote_files=(
                RemoteFile(OXFORD + "pets/data/images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
                RemoteFile(OXFORD + "pets/data/annotations.tar.gz", "md5:95a8c909bbe2e81eed6a22bccdf3f68f"),
            ),
            moves=(("annotations", "oxford_pets/annotations"), ("images", "oxford_pets/images")),
            split=RemoteFile(DRIVE + "1501r8Ber4nNKvmlFVQZ8SeUHTcdTTEqs", name="split_zhou_OxfordPets.json"),
            gigabytes=(0, 0.81),
        ),
    )

    @classmethod
    def read_split(cls, location: DatasetLocation) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
        """Read the split file, with the official trimaps as masks if they are next to the images."""
        classnames, splits = super().read_split(location)
        folder = location.images.parent / TRIMAPS
        if not folder.is_dir():
            return classnames, splits
        names = {e.key: f"{Path(e.key).stem}.png" for examples in splits.values() for e in examples}
        missing = set(missing_files(folder, list(names.values())))
        masks = {key: folder / name for key, name in names.items() if name not in missing}
        return classnames, {
            split: [replace(e, mask=masks.get(e.key)) for e in examples] for split, examples in splits.items()
        }
