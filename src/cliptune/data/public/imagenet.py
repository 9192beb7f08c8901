"""ImageNet (ILSVRC 2012): a thousand classes."""

from __future__ import annotations

import random
from functools import cached_property
from pathlib import Path

from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.public.common import dassl_few_shot
from cliptune.data.public.common.spec import DatasetSpec, Layout, locate
from cliptune.data.public.common.wnids import list_class_folders, read_classnames, wnids
from cliptune.data.splits import sample_disjoint
from cliptune.errors import UserError
from cliptune.types import Example


class ImageNet(Dataset):
    """Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015, https://www.image-net.org.

    Pictures in `train/<wnid>/` and `val/<wnid>/`; a `val` alone can be tested on. The official validation pictures are
    the test set, as the field has it, so no validation shot may be one of them: `examples("val")` is empty, and `draw`
    takes validation shots from the training pictures that it did not draw, after them from the same random stream. The
    training shots are the published rule's on file names in sorted order; published experiments took the order of
    their disk, so that theirs were others (`Reading.draws` takes their lists).
    """

    card = DatasetSpec(
        name="imagenet",
        title="ImageNet",
        layouts=(
            Layout("CoOp", "imagenet", "images", "val"),
            Layout("torchvision", "imagenet", "", "val"),
            Layout("torchvision", "ILSVRC2012", "", "val"),
            # with masks: Prompt_Tuning_Datasets_with_Foreground
            Layout("archive", "imagenet-1k/imagenet", "images", "val"),
            Layout("archive", "ILSVRC/Data/CLS-LOC", "", "val"),
        ),
        classes=1000,
        counts=(1_281_167, 0, 50_000),
        classnames_sha256="571ae1c583b4",
        masks="images",
        source="ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, from https://www.image-net.org with an account",
        caveats=(
            "Shots depend on the order of files: here it is sorted by name, while published code takes the order in "
            "which the disk lists them, so that its shots cannot be drawn again on another machine; --draws takes them "
            "from its split_fewshot files.",
            "The official validation pictures are the test set; validation shots come from training pictures.",
            "Two names stand for two classes each: missile (657 and 744) and sunglasses (836 and 837).",
            "The validation archive unpacks into one flat folder and has to be sorted into class folders.",
        ),
    )

    def __init__(self, root: str | Path, reading: DataConfig | None = None):
        self.reading = reading or DataConfig()
        self.draws = self.reading.draws
        self.name, self.templates = self.card.name, self.card.templates
        self.place = locate(self.card, Path(root))
        self.classnames = read_classnames(wnids(), (self.place.home, Path(root) / "imagenet"))
        self._flat()
        self._test = [self._example(label, key) for label, keys in enumerate(self._keys("val")) for key in keys]

    @classmethod
    def from_spec(cls, argument: str, reading: DataConfig) -> ImageNet:
        if argument:
            raise UserError(f"{cls.card.name} takes nothing after a colon, got {argument!r}; say where with --root")
        return cls(reading.folder(cls.card.name), reading)

    def examples(self, split: str) -> list[Example]:
        """Pictures by class, file names sorted; "val" is empty, see above."""
        if split == "train":
            return [self._example(label, key) for label, keys in enumerate(self._train) for key in keys]
        return self._test if split == "test" else []

    def sizes(self) -> dict[int, int]:
        return {label: len(keys) for label, keys in enumerate(self._train) if keys}

    def shifted(self) -> tuple[str, ...]:
        """The four test sets that were made to differ from it."""
        return "imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"

    def draw(self, shots: int, seed: int) -> tuple[list[Example], list[Example]]:
        """Training shots by the published rule (or from `draws`), and validation shots from what is left."""
        given = (
            dassl_few_shot.draw_from_file(self.draws, self.examples("train"), (), shots, seed)[0] if self.draws else []
        )
        train, val = sample_disjoint(self._train, shots, random.Random(seed), {e.key for e in given})
        # Names were drawn: a million examples would cost a gigabyte and ten seconds.
        drawn, held = (
            [self._example(label, key) for label, keys in enumerate(part) for key in keys] for part in (train, val)
        )
        return given or drawn, held

    @cached_property
    def _train(self) -> list[list[str]]:
        """Keys of the training pictures, class by class; empty lists where there is no `train`."""
        return self._keys("train") if (self.place.images / "train").is_dir() else [[] for _ in self.classnames]

    def _keys(self, part: str) -> list[list[str]]:
        fix = f"unpack all of it ({self.card.source})"
        found = list_class_folders(self.place.images / part, wnids(), self.card.title, fix)
        return [[f"{part}/{w}/{file}" for file in files] for w, files in zip(wnids(), found, strict=True)]

    def _example(self, label: int, key: str) -> Example:
        return Example(key, label, self.place.images / key)

    def _flat(self) -> None:
        """Raise `UserError` for validation pictures as they come out of their archive."""
        val = self.place.images / "val"
        if not (val / wnids()[0]).exists() and any(val.glob("ILSVRC2012_val_*")):
            raise UserError(
                f"the pictures in {val} are not in class folders; sort them with torchvision.datasets.ImageNet"
                f"({str(self.place.images)!r}, 'val') beside the archives, or with the usual valprep.sh"
            )
