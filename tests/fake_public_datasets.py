"""Invented public datasets with their own specifications and empty image files, which nothing opens."""

import json
import warnings
from pathlib import Path

from cliptune.data.public.common.public_dataset import PublicDataset
from cliptune.data.public.common.spec import DatasetSpec, Layout, short_sha256
from cliptune.data.public.common.split_dataset import SplitDataset
from cliptune.data.public.doctor.check import check_datasets
from cliptune.errors import UserError
from cliptune.types import Example

KEYS = {
    "train": [["tabby/a.jpg", 0, "tabby cat"], ["tabby/b.jpg", 0, "tabby cat"], ["beagle/a.jpg", 1, "beagle"]],
    "val": [["beagle/b.jpg", 1, "beagle"]],
    "test": [["tabby/c.jpg", 0, "tabby cat"], ["beagle/c.jpg", 1, "beagle"]],
}
SPLIT = json.dumps(KEYS)
IMAGES = [item[0] for part in KEYS.values() for item in part]


class Zoo(SplitDataset):
    spec = DatasetSpec(
        name="city_zoo",
        title="CityZoo",
        layouts=(Layout("CoOp", "city-zoo", "images"), Layout("torchvision", "zoo-v2", "images")),
        num_classes=2,
        split_sizes=(3, 1, 2),
        split_file="split_zhou_CityZoo.json",
        split_sha256=short_sha256(SPLIT.encode()),
        source="zoo.zip of https://zoo.example",
    )


class Farm(SplitDataset):
    """Its images are in the dataset's folder itself."""

    spec = DatasetSpec(
        "city_zoo_farm", "Farm", (Layout("CoOp", "farm", ""),), 2, (3, 1, 2), split_file="split_zhou_Farm.json"
    )


class Meadow(PublicDataset):
    """Class folders define the splits, as in ImageNet."""

    spec = DatasetSpec("meadow", "Meadow", (Layout("CoOp", "meadow", ""),), 1, (4, 0, 2), mask_layout="meadow")

    def __init__(self, root: Path):
        self.files = {part: sorted((root / "meadow" / part).glob("*/*.jpg")) for part in ("train", "val", "test")}
        if not self.files["test"]:
            raise UserError("1 of the 1 class folders of Meadow is missing")
        warnings.warn("it has other names", stacklevel=1)

    @classmethod
    def from_spec(cls, argument, reading):
        return cls(Path(reading.root))

    def examples(self, split):
        return [Example(path.name, 0, path) for path in self.files[split]]


KINDS = {"city_zoo": Zoo, "city_zoo_farm": Farm, "meadow": Meadow}


def write_dataset(
    root: Path, home: str, images: str = "images", keys=IMAGES, split: str | None = "split_zhou_CityZoo.json"
):
    for key in keys:
        path = root / home / images / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if split:
        (root / home / split).write_text(SPLIT)
    return root


def status_of(root, name="city_zoo"):
    (report,) = check_datasets(root, [name], KINDS).reports
    return report
