"""FGVC-Aircraft: 100 variants of aircraft."""

from __future__ import annotations

from pathlib import Path

from cliptune.data.public.common.spec import DatasetLocation, DatasetSpec, Layout, archive_layouts
from cliptune.data.public.common.split_dataset import SplitDataset
from cliptune.errors import UserError
from cliptune.files import read_text
from cliptune.types import Example

NAMES = "variants.txt"
LISTS = {part: f"images_variant_{part}.txt" for part in ("train", "val", "test")}


class FGVCAircraft(SplitDataset):
    """Maji et al., Fine-Grained Visual Classification of Aircraft, 2013,
    https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/."""

    card = DatasetSpec(
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
        classes=100,
        counts=(3334, 3333, 3333),
        lists=(NAMES, *LISTS.values()),
        classnames_sha256="e1c9e72060e6",
        templates=("a photo of a {}, a type of aircraft.",),
        masks="flat",
        source=(
            "fgvc_aircraft.zip of https://huggingface.co/zhengli97/prompt_learning_dataset has all of it, as has the "
            "folder data/ of fgvc-aircraft-2013b.tar.gz at https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/"
        ),
        caveats=(
            "Its own lists of variants are the split; there is no split file.",
            "Classes are variants without their maker: A330-200, F-16A/B.",
        ),
    )

    @classmethod
    def listed(cls, place: DatasetLocation) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
        names = tuple(_lines(place.home / NAMES))
        labels = {name: label for label, name in enumerate(names)}
        parts = {part: _read(place.home / file, place.images, labels) for part, file in LISTS.items()}
        keys = [e.key for part in parts.values() for e in part]
        if len(labels) < len(names) or len(set(keys)) < len(keys):
            what = "two classes have one name" if len(labels) < len(names) else "a picture is listed twice"
            raise UserError(f"{what} in the lists of {place.home}; get the published files ({cls.card.source})")
        return names, parts


def _read(file: Path, images: Path, labels: dict[str, int]) -> list[Example]:
    """The examples of a list with a picture's number and its variant in each line."""
    examples = []
    for line in _lines(file):
        number, _, name = line.partition(" ")
        if name not in labels or not number.isalnum():
            raise UserError(f"{file} has the line {line!r}, which is not a picture's number and one of {NAMES}")
        examples.append(Example(f"{number}.jpg", labels[name], images / f"{number}.jpg"))
    return examples


def _lines(file: Path) -> list[str]:
    """Lines that are not empty, without what surrounds them."""
    return [line.strip() for line in read_text(file).splitlines() if line.strip()]
