"""Pascal VOC 2012: photographs of objects of 20 classes, often several per image (multi-label), with masks."""

from __future__ import annotations

import random
from pathlib import Path

from cliptune.data.config import DataConfig
from cliptune.data.exists import missing_files
from cliptune.data.public.common import voc
from cliptune.data.public.common.public_dataset import PublicDataset
from cliptune.data.public.common.recipe import Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, Layout
from cliptune.data.splits import assign_single_labels, group_by_label, sample_disjoint
from cliptune.errors import UserError
from cliptune.types import Example
from cliptune.user_warnings import warn_user

#: Folders of masks, in the order in which they are searched.
MASK_FOLDERS = ("SegmentationClass_All", "SegmentationClassAug", "SegmentationClass")
#: Names of the list of 10,582 training images.
LONG_LISTS = ("trainaug.txt", "train_aug.txt", "train_aug_id.txt")
SETS = "ImageSets/Segmentation"


class PascalVoc(PublicDataset):
    """Everingham et al., The Pascal Visual Object Classes Challenge: A Retrospective, IJCV 2015,
    http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, as DAPT uses it.

    Training images are those of the segmentation challenge with the masks of Hariharan et al., ICCV 2011 (10,582), if
    that list is present, else the challenge's own 1,464; test images are its 1,449 validation images. The labels of
    an image are the classes in its annotation. A draw assigns each image to one of its classes at random, then samples
    shots per class; validation shots are training images that were not drawn.
    """

    spec = DatasetSpec(
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
        num_classes=20,
        split_sizes=(10_582, 0, 1_449),
        list_files=(f"{SETS}/train.txt", f"{SETS}/val.txt"),
        classnames_sha256="f1d6f82014a2",
        mask_layout="flat",
        source="VOCtrainval_11-May-2012.tar, from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        caveats=(
            "Images have several labels: besides accuracy (the top prediction is one of the image's classes) there is "
            "mean average precision, test/map.",
            "The list of 10,582 training images (trainaug.txt) and their masks (SegmentationClassAug) are not in the "
            "official archive; without that list there are 1,464 training images.",
            "The official validation images are the test set; validation shots come from training images.",
        ),
        recipe=Recipe(
            collected=False,
            remote_files=(
                RemoteFile(
                    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                    "md5:6cd6e144f989b92b3379bac3b3de84fd",
                ),
            ),
            moves=(("VOCdevkit", "voc12data/VOCdevkit"),),
            gigabytes=(0, 2.0),
            min_images=1464 + 1449,  # the longer list and its masks are by Hariharan et al.
        ),
    )

    def __init__(self, root: str | Path, config: DataConfig | None = None):
        super().__init__(root, config)
        self.classnames = tuple(voc.CLASSNAMES.values())
        folder = self.location.home / SETS
        long_list = next((folder / name for name in LONG_LISTS if (folder / name).is_file()), None)
        self._train = self._read_list(long_list or folder / "train.txt", masks=True)
        self._test = self._read_list(folder / "val.txt")
        both = {e.key for e in self._train} & {e.key for e in self._test}
        if both:
            raise UserError(
                f"{long_list} lists {len(both)} images of the test set, such as {min(both)}; get trainaug.txt"
            )
        if len(self._train) != self.spec.split_sizes[0]:
            warn_user(
                f"Pascal VOC in {self.location.home} has {len(self._train)} training images, not the "
                f"{self.spec.split_sizes[0]} of published results: those need the list {SETS}/{LONG_LISTS[0]} and the "
                f"masks {MASK_FOLDERS[1]}"
            )

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig) -> PascalVoc:
        if not argument and config.draws:
            raise UserError(f"{cls.spec.name} does not support --draws; omit it to draw the shots")
        return super().from_spec(argument, config)

    def examples(self, split: str) -> list[Example]:
        """Images in the order of their list, with the first of their classes as label; "val" is empty."""
        return {"train": self._train, "test": self._test}.get(split, [])

    def draw(self, shots: int, seed: int) -> tuple[list[Example], list[Example]]:
        """Assign each image to one of its classes, in the list's order as in DAPT's release, then apply the published
        rule, from the same random stream."""
        rng = random.Random(seed)
        single = assign_single_labels(self._train, rng)
        if shots < 1:
            return single, []
        train, val = sample_disjoint(list(group_by_label(single).values()), shots, rng)
        return [e for group in train for e in group], [e for group in val for e in group]

    def _read_list(self, file: Path, masks: bool = False) -> list[Example]:
        """Read the images of a list, with masks where they exist (only training uses them)."""
        keys, home = voc.read_image_ids(file), self.location.home
        for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
            missing = missing_files(home / folder, [f"{key}.{suffix}" for key in keys])
            if missing:
                raise UserError(
                    f"{len(missing)} of the {len(keys)} files that {file.name} lists are not under {home / folder}, "
                    f"such as {', '.join(missing[:3])}; unpack all of it ({self.spec.source})"
                )
        found: dict[str, Path] = {}
        for folder in MASK_FOLDERS if masks else ():
            wanted = [f"{key}.png" for key in keys if key not in found]
            missing = set(missing_files(home / folder, wanted))
            found |= {name[:-4]: home / folder / name for name in wanted if name not in missing}
        return [self._example(key, found.get(key)) for key in keys]

    def _example(self, key: str, mask: Path | None) -> Example:
        labels = voc.read_object_labels(self.location.home / "Annotations" / f"{key}.xml")
        if not labels:
            raise UserError(f"the annotation of {key} in {self.location.home} names no object; copy it again")
        return Example(f"{key}.jpg", labels[0], self.location.images / f"{key}.jpg", mask, labels=labels)
