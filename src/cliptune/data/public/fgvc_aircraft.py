"""FGVC-Aircraft: 100 aircraft variants."""

from __future__ import annotations

from pathlib import Path

from cliptune.data.public.common.recipe import OXFORD, Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetLocation, DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset
from cliptune.errors import UserError
from cliptune.files import read_text
from cliptune.types import Example

NAMES = "variants.txt"
LISTS = {split: f"images_variant_{split}.txt" for split in ("train", "val", "test")}


class FGVCAircraft(SplitDataset):
    """Maji et al., Fine-Grained Visual Classification of Aircraft, 2013,
    https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/."""

    spec = DatasetSpec(
        name="fgvc_aircraft",
        title="FGVCAircraft",
        layouts=(
            Layout("CoOp", "fgvc_aircraft", "images"),
            Layout("torchvision", "fgvc-aircraft-2013b/data", "images"),
            *archive_layouts("fgvc_aircraft", "fgvc_aircraft", "images"),
            Layout("archive", "fgvc_aircraft/data", "images"),
            # with masks: Prompt_Tuning_Datasets_with_Foreground
            Layout("archive", "fgvc_aircraft/fgvc-aircraft-2013b/fgvc_aircraft", "images"),
            Layout("archive", "fgvc_aircraft/fgvc-aircraft-2013b/data", "images"),
        ),
        num_classes=100,
        split_sizes=(3334, 3333, 3333),
        list_files=(NAMES, *LISTS.values()),
        classnames_sha256="e1c9e72060e6",
        templates=("a photo of a {}, a type of aircraft.",),
        mask_layout="flat",
        source=(
            "fgvc_aircraft.zip at https://huggingface.co/zhengli97/prompt_learning_dataset contains everything, and so "
            "does the folder data/ of fgvc-aircraft-2013b.tar.gz at https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/"
        ),
        caveats=(
            "The dataset's own lists of variants are the split; there is no split file.",
            "Classes are variants without the manufacturer: A330-200, F-16A/B.",
        ),
        recipe=Recipe(
            aliases=("fgvc-aircraft-2013b",),
            remote_files=(RemoteFile(OXFORD + "fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz"),),
            moves=(("fgvc-aircraft-2013b/data", "fgvc_aircraft"),),
            gigabytes=(2.75, 2.75),
        ),
    )

    @classmethod
    def read_split(cls, location: DatasetLocation) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
        """Read the lists of variants. Raises `UserError` for repeated class names or images."""
        names = tuple(_read_lines(location.home / NAMES))
        labels = {name: label for label, name in enumerate(names)}
        splits = {split: _read_list(location.home / file, location.images, labels) for split, file in LISTS.items()}
        keys = [e.key for examples in splits.values() for e in examples]
        if len(labels) < len(names) or len(set(keys)) < len(keys):
            what = "two classes have one name" if len(labels) < len(names) else "an image is listed twice"
            raise UserError(f"{what} in the lists of {location.home}; get the published files ({cls.spec.source})")
        return names, splits


def _read_list(file: Path, images: Path, labels: dict[str, int]) -> list[Example]:
    """Read the examples of a list with an image's number and its variant in each line."""
    examples = []
    for line in _read_lines(file):
        number, _, name = line.partition(" ")
        if name not in labels or not number.isalnum():
            raise UserError(f"{file} has the line {line!r}, which is not an image's number and one of {NAMES}")
        examples.append(Example(f"{number}.jpg", labels[name], images / f"{number}.jpg"))
    return examples


def _read_lines(file: Path) -> list[str]:
    """Read the non-empty lines, stripped."""
    return [line.strip() for line in read_text(file).splitlines() if line.strip()]
