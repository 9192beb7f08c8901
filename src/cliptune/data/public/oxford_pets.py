"""Oxford-IIIT Pets: 37 breeds of cats and dogs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cliptune.data.exists import missing_files
from cliptune.data.public.common.spec import DatasetLocation, DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset
from cliptune.types import Example

#: The official masks, beside the folder of images: 1 is the pet, 2 background, 3 the border between them.
TRIMAPS = Path("annotations", "trimaps")


class OxfordPets(SplitDataset):
    """Parkhi et al., Cats and Dogs, CVPR 2012, https://www.robots.ox.ac.uk/~vgg/data/pets/."""

    card = DatasetSpec(
        name="oxford_pets",
        title="OxfordPets",
        layouts=(
            Layout("CoOp", "oxford_pets", "images"),
            Layout("torchvision", "oxford-iiit-pet", "images"),
            *archive_layouts("oxford_pets", "oxford_pets", "images"),
        ),
        classes=37,
        counts=(2944, 736, 3669),
        split="split_zhou_OxfordPets.json",
        split_sha256="d7f3ffe65b39",
        classnames_sha256="8e35ab44db27",
        templates=("a photo of a {}, a type of pet.",),
        masks="flat",
        source=(
            "oxford_pets.zip of https://huggingface.co/zhengli97/prompt_learning_dataset holds pictures and split; "
            "the split alone is linked in https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md, the pictures are "
            "images.tar.gz at https://www.robots.ox.ac.uk/~vgg/data/pets/"
        ),
        caveats=(
            "Training and validation are a fixed random cut of the official trainval list; the test list is the "
            "official one.",
            "Some files are not what their suffix says: a few .jpg hold PNG or GIF pictures.",
        ),
    )

    @classmethod
    def listed(cls, place: DatasetLocation) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
        """As the split file says; with the official trimaps as masks where they lie beside the images."""
        classnames, parts = super().listed(place)
        folder = place.images.parent / TRIMAPS
        if not folder.is_dir():
            return classnames, parts
        files = {e.key: f"{Path(e.key).stem}.png" for part in parts.values() for e in part}
        lost = set(missing_files(folder, list(files.values())))
        masks = {key: folder / name for key, name in files.items() if name not in lost}
        return classnames, {name: [replace(e, mask=masks.get(e.key)) for e in part] for name, part in parts.items()}
