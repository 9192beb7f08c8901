"""ImageNet (ILSVRC 2012): 1,000 classes."""

from __future__ import annotations

import random
from functools import cached_property
from pathlib import Path

from cliptune.data import dassl_few_shot
from cliptune.data.config import DataConfig
from cliptune.data.public.common.public_dataset import PublicDataset
from cliptune.data.public.common.recipe import Recipe
from cliptune.data.public.common.spec import DatasetSpec, Layout
from cliptune.data.public.common.wnids import list_class_folders, read_classnames, wnids
from cliptune.data.splits import sample_disjoint
from cliptune.errors import UserError
from cliptune.types import Example


class ImageNet(PublicDataset):
    """Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015, https://www.image-net.org.

    Images are in `train/<wnid>/` and `val/<wnid>/`; `val` alone is enough for testing. As in published experiments, the
    official validation images are the test set, so validation shots must come from elsewhere: `examples("val")` is
    empty, and `draw` takes validation shots from the training images that it did not draw, after the training shots and
    from the same random stream. Training shots follow the published rule applied to file names in sorted order.
    Published experiments used the order of their disk, so their shots are different (`DataConfig.draws` reads them).
    """

    spec = DatasetSpec(
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
        num_classes=1000,
        split_sizes=(1_281_167, 0, 50_000),
        classnames_sha256="571ae1c583b4",
        mask_layout="images",
        source="ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, from https://www.image-net.org with an account",
        caveats=(
            "Shots depend on the order of files. Here files are sorted by name; published code uses the order in which "
            "the disk lists them, so its shots cannot be drawn again on another machine; --draws reads them from its "
            "split_fewshot files.",
            "The official validation images are the test set; validation shots come from training images.",
            "Two class names occur twice: missile (657 and 744) and sunglasses (836 and 837).",
            "The validation archive unpacks into one flat folder and has to be sorted into class folders.",
        ),
        recipe=Recipe(
            collected=False,
            manual_steps="ImageNet's licence allows only its own site to distribute it: log in at "
            "https://image-net.org/download and put the 1,000 class folders of each part under "
            "{root}/imagenet/images/train and {root}/imagenet/images/val",
            manual_archives={f"ILSVRC2012_img_{part}.tar": f"imagenet/images/{part}" for part in ("train", "val")},
        ),
    )

    def __init__(self, root: str | Path, config: DataConfig | None = None):
        super().__init__(root, config)
        self.classnames = read_classnames(wnids(), (self.location.home, Path(root) / "imagenet"))
        self._check_class_folders()
        self._test = [self._example(label, key) for label, keys in enumerate(self._keys("val")) for key in keys]

    def examples(self, split: str) -> list[Example]:
        """Images by class, sorted by file name; "val" is empty, see the class."""
        if split == "train":
            return [self._example(label, key) for label, keys in enumerate(self._train_keys) for key in keys]
        return self._test if split == "test" else []

    def sizes(self) -> dict[int, int]:
        return {label: len(keys) for label, keys in enumerate(self._train_keys) if keys}

    def shifted(self) -> tuple[str, ...]:
        """The four test sets of the domain generalization benchmark."""
        return "imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"

    def draw(self, shots: int, seed: int) -> tuple[list[Example], list[Example]]:
        """Draw training shots by the published rule (or read them from `draws`), and validation shots from the rest."""
        from_file = (
            dassl_few_shot.draw_from_file(self.draws, self.examples("train"), (), shots, seed)[0] if self.draws else []
        )
        # Keys are drawn instead of examples: a million examples would take a gigabyte and ten seconds.
        train_keys, val_keys = sample_disjoint(self._train_keys, shots, random.Random(seed), {e.key for e in from_file})
        train, val = (
            [self._example(label, key) for label, keys in enumerate(groups) for key in keys]
            for groups in (train_keys, val_keys)
        )
        return from_file or train, val

    @cached_property
    def _train_keys(self) -> list[list[str]]:
        """Keys of the training images by class; empty lists if there is no folder `train`."""
        return self._keys("train") if (self.location.images / "train").is_dir() else [[] for _ in self.classnames]

    def _keys(self, part: str) -> list[list[str]]:
        fix = f"unpack all of it ({self.spec.source})"
        files = list_class_folders(self.location.images / part, wnids(), self.spec.title, fix)
        return [[f"{part}/{wnid}/{name}" for name in names] for wnid, names in zip(wnids(), files, strict=True)]

    def _example(self, label: int, key: str) -> Example:
        return Example(key, label, self.location.images / key)

    def _check_class_folders(self) -> None:
        """Raise `UserError` if the validation images are flat, as they are in their archive."""
        val = self.location.images / "val"
        if not (val / wnids()[0]).exists() and any(val.glob("ILSVRC2012_val_*")):
            raise UserError(
                f"the images in {val} are not in class folders; sort them with torchvision.datasets.ImageNet"
                f"({str(self.location.images)!r}, 'val') next to the archives, or with the usual valprep.sh"
            )
