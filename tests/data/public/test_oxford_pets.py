"""Oxford Pets uses its official trimaps as masks if they are next to the images."""

import numpy as np
import pytest
from PIL import Image

import mini_public_datasets
from cliptune import masks
from cliptune.data import public
from mini_public_datasets import miniature, open_dataset

SPEC = public.specs()["oxford_pets"]


def trimaps(home, split):
    """Write trimaps with the pet in the left third, a border in the middle and background on the right: 1, 3, 2."""
    (home / "annotations" / "trimaps").mkdir(parents=True)
    values = np.repeat(np.array([[1, 3, 2]], np.uint8), 16, 1).repeat(48, 0)
    for part in mini_public_datasets.PARTS:
        for path, *_ in split[part]:
            Image.fromarray(values).save(home / "annotations" / "trimaps" / f"{path.rpartition('.')[0]}.png")


@miniature
@pytest.mark.parametrize("layout", SPEC.layouts)
def test_trimaps_are_used_as_masks_in_every_layout(tmp_path, layout):
    split = mini_public_datasets.write_dataset(SPEC, tmp_path, layout)
    assert open_dataset("oxford_pets", tmp_path).examples("train")[0].mask is None
    trimaps((tmp_path / layout.home / layout.images).parent, split)
    dataset, source = open_dataset("oxford_pets", tmp_path), masks.get("data")
    with pytest.warns(UserWarning, match="without 0, read as trimap: 1 is foreground, 2 background, 3 border"):
        for example in (*dataset.examples("train"), *dataset.examples("test")):
            mask = source.mask(example, dataset.read(example))
            assert mask[0, :, :16].min() == 255 and not mask[0, :, 16:].any()
    assert source.find_problems(dataset.examples("train")) == []


@miniature
def test_a_missing_trimap_is_replaced_by_grad_cam(tmp_path):
    split = mini_public_datasets.write_dataset(SPEC, tmp_path)
    trimaps(tmp_path / "oxford_pets", split)
    next((tmp_path / "oxford_pets" / "annotations" / "trimaps").iterdir()).unlink()
    parts = [open_dataset("oxford_pets", tmp_path).examples(part) for part in mini_public_datasets.PARTS]
    assert sum(example.mask is None for part in parts for example in part) == 1
