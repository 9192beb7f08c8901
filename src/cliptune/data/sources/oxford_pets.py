"""Oxford-IIIT Pets: 37 breeds of cats and dogs."""

from __future__ import annotations

from cliptune.data.card import Card, Layout
from cliptune.data.split_dataset import SplitDataset


class OxfordPets(SplitDataset):
    """Parkhi et al., Cats and Dogs, CVPR 2012, https://www.robots.ox.ac.uk/~vgg/data/pets/."""

    card = Card(
        name="oxford_pets",
        title="OxfordPets",
        layouts=(
            Layout("CoOp", "oxford_pets", "images"),
            Layout("torchvision", "oxford-iiit-pet", "images"),
        ),
        classes=37,
        counts=(2944, 736, 3669),
        split="split_zhou_OxfordPets.json",
        split_print="d7f3ffe65b39",
        names_print="8e35ab44db27",
        templates=("a photo of a {}, a type of pet.",),
        masks="flat",
    )
