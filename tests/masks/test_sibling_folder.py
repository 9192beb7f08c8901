"""Masks of released archives and of `masks make` are found from the image's path."""

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune import masks
from cliptune.errors import UserError
from cliptune.masks.sibling_folder import SiblingFolderMasks
from cliptune.types import DecodedImage, Example

IMAGE = DecodedImage(torch.zeros(3, 4, 6, dtype=torch.uint8))


def save(path, value=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6), value, np.uint8)).save(path, quality=95)
    return path


@pytest.mark.parametrize(
    "image, mask",
    [
        # SEEM's archive in the layout of DAPT
        ("caltech-101/101_ObjectCategories/accordion/1.jpg", "caltech-101/mask/accordion/1.jpg"),
        ("oxford_pets/images/Abyssinian_1.jpg", "oxford_pets/mask/Abyssinian_1.jpg"),
        ("imagenet/images/train/n01/n01_1.JPEG", "imagenet/mask/train/n01/n01_1.JPEG"),
        ("sun397/SUN397/a/abbey/sun.jpg", "sun397/mask/a/abbey/sun.jpg"),
        ("stanford_cars/cars_train/1.jpg", "stanford_cars/mask/1.jpg"),
        # Prompt_Tuning_Datasets_with_Foreground
        ("caltech-101/caltech-101/101_OC/bass/1.jpg", "caltech-101/mask/caltech-101/101_OC/bass/1.jpg"),
        ("dtd/dtd/dtd/images/lined/1.jpg", "dtd/dtd/mask/dtd/images/lined/1.jpg"),
        ("imagenet-1k/imagenet/images/train/n01/1.JPEG", "imagenet-1k/mask/imagenet/images/train/n01/1.JPEG"),
        # written by `masks make`
        ("photos/cat/1.jpg", "photos-masks/cat/1.png"),
        ("photos/train/cat/1.jpg", "masks/cat/1.png"),
    ],
)
def test_masks_are_found_by_the_images_path(tmp_path, image, mask):
    example = Example("1.jpg", 0, save(tmp_path / image))
    assert SiblingFolderMasks().find(example) is None
    save(tmp_path / "elsewhere" / "mask" / "1.jpg")
    expected = save(tmp_path / mask)
    for source in (SiblingFolderMasks(), masks.get("seem")):
        assert source.find(example) == expected  # type: ignore[attr-defined]
        source.check([example])


def test_white_is_foreground_in_sibling_folders_and_void_in_the_release(tmp_path):
    example = Example("x", 0, save(tmp_path / "images" / "a.png"))
    save(tmp_path / "mask" / "a.png")
    assert masks.get("beside").mask(example, IMAGE).min() == 255
    with pytest.warns(UserWarning, match=r"a\.png contains only 0 and 255, all background by the release"):
        assert masks.get("seem").mask(example, IMAGE).max() == 0


def test_a_class_may_be_named_mask(tmp_path):
    paths = [save(tmp_path / "images" / name / "1.png") for name in ("mask", "cat")]
    examples = [Example(f"{path.parent.name}/1.png", i, path) for i, path in enumerate(paths)]
    assert SiblingFolderMasks().find(examples[0]) is None
    with pytest.raises(UserError, match=r"masks of 2 of 2 images cannot be used \(2 missing\)"):
        SiblingFolderMasks().check(examples)


def test_images_without_sibling_masks(tmp_path):
    drawn = Example("drawn", 0)
    with pytest.raises(UserError, match="drawn has no mask in a folder mask or masks next to the images"):
        SiblingFolderMasks().check([drawn])
    with pytest.raises(UserError, match="unpack the archive of masks there, or name its folder: folder:PATH"):
        SiblingFolderMasks().mask(drawn, IMAGE)
