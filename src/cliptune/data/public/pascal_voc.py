"""Pascal VOC 2012: photographs with objects of 20 classes, often several in one (multi-label), and their masks."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

from cliptune.data import splits
from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.exists import missing_files
from cliptune.data.public.common import voc
from cliptune.data.public.common.spec import DatasetSpec, Layout, locate
from cliptune.data.splits import group_by_label, sample_disjoint
from cliptune.errors import UserError
from cliptune.types import Example

#: Folders of masks, those for more pictures first; and names of the list of 10,582 pictures that they have masks for.
MASKS = ("SegmentationClass_All", "SegmentationClassAug", "SegmentationClass")
LONG_LISTS = ("trainaug.txt", "train_aug.txt", "train_aug_id.txt")
SETS = "ImageSets/Segmentation"


class PascalVoc(Dataset):
    """Everingham et al., The Pascal Visual Object Classes Challenge: A Retrospective, IJCV 2015,
    http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, as DAPT uses it.

    Trained on the segmentation challenge's list with the masks of Hariharan et al., ICCV 2011 (10,582 pictures), where
    that list is there, else on the challenge's own 1,464; tested on its 1,449 validation pictures. What a picture shows
    is what its annotation names. A draw gives each picture to one of its classes at random, then takes shots of each
    class; validation shots are pictures it did not draw.
    """

    card = DatasetSpec(
        name="pascal_voc",
        title="VOC12",
        layouts=(
            Layout("CoOp", "voc12data/VOCdevkit/VOC2012", "JPEGImages"),
            Layout("torchvision", "VOCdevkit/VOC2012", "JPEGImages"),
            Layout("torchvision", "pascal_voc/VOCdevkit/VOC2012", "JPEGImages"),
            Layout("archive", "VOCtrainval_11-May-2012/VOCdevkit/VOC2012", "JPEGImages"),
            Layout("archive", "voc12data/VOC2012", "JPEGImages"),
            Layout("archive", "VOC2012", "JPEGImages"),
        ),
        classes=20,
        counts=(10_582, 0, 1_449),
        lists=(f"{SETS}/train.txt", f"{SETS}/val.txt"),
        classnames_sha256="f1d6f82014a2",
        masks="flat",
        source="VOCtrainval_11-May-2012.tar, from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        caveats=(
            "Pictures show several classes: beside accuracy (the best answer is in the picture) there is mean average "
            "precision, test/map.",
            "The list of 10,582 training pictures (trainaug.txt) and the masks for them (SegmentationClassAug) are not "
            "in the official archive; without that list 1,464 pictures are trained on.",
            "The official validation pictures are the test set; validation shots come from training pictures.",
        ),
    )

    def __init__(self, root: str | Path, reading: DataConfig | None = None):
        self.reading = reading or DataConfig()
        self.name, self.templates = self.card.name, self.card.templates
        self.classnames = tuple(voc.CLASSNAMES.values())
        self.place = locate(self.card, Path(root))
        folder = self.place.home / SETS
        long = next((folder / name for name in LONG_LISTS if (folder / name).is_file()), None)
        self._train = self._listed(long or folder / "train.txt", masks=True)
        self._test = self._listed(folder / "val.txt")
        both = {e.key for e in self._train} & {e.key for e in self._test}
        if both:
            raise UserError(f"{long} lists {len(both)} pictures of the test set, such as {min(both)}; get trainaug.txt")
        if len(self._train) != self.card.counts[0]:
            warnings.warn(
                f"Pascal VOC in {self.place.home} has {len(self._train)} training pictures, not the "
                f"{self.card.counts[0]} of published numbers: those need the list {SETS}/{LONG_LISTS[0]} and the masks "
                f"{MASKS[1]}",
                stacklevel=3,
            )

    @classmethod
    def from_spec(cls, argument: str, reading: DataConfig) -> PascalVoc:
        if argument:
            raise UserError(f"{cls.card.name} takes nothing after a colon, got {argument!r}; say where with --root")
        if reading.draws:
            raise UserError(f"{cls.card.name} cannot take --draws; leave it out to draw the shots")
        return cls(reading.folder(cls.card.name), reading)

    def examples(self, split: str) -> list[Example]:
        """Pictures in the order of their list, each under the first class that it shows; "val" is empty."""
        return {"train": self._train, "test": self._test}.get(split, [])

    def draw(self, shots: int, seed: int) -> tuple[list[Example], list[Example]]:
        """Each picture goes to one of its classes, drawn in the list's order as DAPT's release does; then the published
        rule, from the same random stream."""
        rng = random.Random(seed)
        given = splits.assign_single_labels(self._train, rng)
        if shots < 1:
            return given, []
        train, val = sample_disjoint(list(group_by_label(given).values()), shots, rng)
        return [e for group in train for e in group], [e for group in val for e in group]

    def _listed(self, file: Path, masks: bool = False) -> list[Example]:
        """The pictures of a list, with masks where there are some (training alone looks at them)."""
        keys, home = voc.read_image_ids(file), self.place.home
        for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
            lost = missing_files(home / folder, [f"{key}.{suffix}" for key in keys])
            if lost:
                raise UserError(
                    f"{len(lost)} of the {len(keys)} files that {file.name} lists are not under {home / folder}, such "
                    f"as {', '.join(lost[:3])}; unpack all of it ({self.card.source})"
                )
        found: dict[str, Path] = {}
        for folder in MASKS if masks else ():
            left = [f"{key}.png" for key in keys if key not in found]
            lost = set(missing_files(home / folder, left))
            found |= {name[:-4]: home / folder / name for name in left if name not in lost}
        return [self._example(key, found.get(key)) for key in keys]

    def _example(self, key: str, mask: Path | None) -> Example:
        labels = voc.read_labels(self.place.home / "Annotations" / f"{key}.xml")
        if not labels:
            raise UserError(f"the annotation of {key} in {self.place.home} names no object; copy it anew")
        return Example(f"{key}.jpg", labels[0], self.place.images / f"{key}.jpg", mask, labels=labels)
