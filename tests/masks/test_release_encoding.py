"""Stored masks as in the released DAPT code: values are resized with the view and thresholded afterwards."""

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune import masks
from cliptune.backbones.preprocess import Preprocess
from cliptune.data.custom.folder import Folder
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import RandomCropFlip
from cliptune.masks.folder import FolderMasks
from tiny_tasks import write_images

BICUBIC = Image.Resampling.BICUBIC
OVAL = ((np.mgrid[:48, :64] - np.array([24, 32])[:, None, None]) ** 2 / np.array([300, 500])[:, None, None]).sum(0) < 1
SIZE, SEED, EPOCH = 32, 3, 2


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Images of 48 x 64 pixels, and masks of half the size whose object is 254 or 255."""
    place = tmp_path_factory.mktemp("release")
    write_images(place / "photos", classes=("cat", "dog"), each=2)
    for i, path in enumerate(sorted((place / "photos").rglob("*.png"))):
        Image.new("RGB", (64, 48), (40 * i, 90, 120)).save(path)
        mask = place / "mask" / path.relative_to(place / "photos")
        mask.parent.mkdir(parents=True, exist_ok=True)
        half = Image.fromarray((OVAL * (254 + i % 2)).astype(np.uint8)).resize((32, 24), Image.Resampling.NEAREST)
        half.convert("RGB").save(mask)
    return place


def views(root, source):
    dataset = Folder(root / "photos")
    chosen = [e for part in ("train", "val", "test") for e in dataset.examples(part)]
    prepared = Preprocess((SIZE, SIZE))
    made = ExampleSet(dataset, chosen, prepared, augment=RandomCropFlip(SIZE), seed=SEED)
    return chosen, [made.item(i, EPOCH, source)[1][0].numpy() for i in range(len(made))]


def textbook(path, place, *, release):
    """The view of the mask of a 48 x 64 image by Pillow: resized to the image, cropped, resized, flipped."""
    stream = np.random.Generator(np.random.Philox(key=[SEED, (EPOCH << 32) + place]))
    top, left, height, width = RandomCropFlip(SIZE).box(48, 64, stream)
    how = BICUBIC if release else Image.Resampling.NEAREST
    mask = (
        Image.open(path).resize((64, 48), how).crop((left, top, left + width, top + height)).resize((SIZE, SIZE), how)
    )
    numbers = np.asarray(mask)[..., 0]
    white = (numbers >= 1) & (numbers <= 254) if release else numbers > 0
    return (white[:, ::-1] if stream.random() < 0.5 else white) * 255


def test_views_are_thresholded_after_resizing(root):
    chosen, seen = views(root, masks.get(f"seem:{root / 'mask'}"))
    expected = [textbook(root / "mask" / e.key, i, release=True) for i, e in enumerate(chosen)]
    assert all((one == other).all() for one, other in zip(seen, expected, strict=True))
    assert {int(v) for one in seen for v in np.unique(one)} == {0, 255}


def test_masks_of_other_sources_are_resized_with_nearest(root):
    source = FolderMasks(root / "mask")
    assert not source.thresholds_views
    plain = views(root, source)[1]
    release = views(root, masks.get(f"seem:{root / 'mask'}"))[1]
    for i, (one, other) in enumerate(zip(plain, release, strict=True)):
        assert set(np.unique(one)) <= {0, 255}
        assert (one != other).any(), f"the rim of mask {i} is where the two differ"


def test_an_object_of_255_keeps_only_a_rim(root):
    chosen, seen = views(root, masks.get(f"seem:{root / 'mask'}"))
    full = [i for i, e in enumerate(chosen) if Image.open(root / "mask" / e.key).getextrema()[0][1] == 255]
    assert full and all(0 < (seen[i] > 0).mean() < 0.5 for i in full)


def test_the_mask_has_the_size_of_the_image(root):
    source, dataset = masks.get(f"seem:{root / 'mask'}"), Folder(root / "photos")
    example = dataset.examples("train")[0]
    image = dataset.read(example)
    stored, mask = source.stored(example, image), source.mask(example, image)
    assert stored.shape == mask.shape == (1, 48, 64) and torch.equal(source.foreground(stored), mask)
    assert source.find_problems([example]) == []
