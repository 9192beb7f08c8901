"""The lines of Python give the evaluation view to the bit, in every mode and for every shape of image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.transforms import evaluation_view
from cliptune.export.resizing import resize_lines, resize_words

SQUARE, WIDE = Preprocess((32, 32)), Preprocess((24, 40))
CASES = {
    "crop": (SQUARE, "crop"),
    "bilinear": (replace(SQUARE, interpolation="bilinear"), "crop"),
    "squash": (replace(SQUARE, resize_mode="squash", interpolation="bilinear"), "crop"),
    "pad": (replace(SQUARE, resize_mode="longest", fill=(10, 20, 200)), "crop"),
    "wide crop": (WIDE, "crop"),
    "wide squash": (replace(WIDE, resize_mode="squash"), "crop"),
    "wide pad": (replace(WIDE, resize_mode="longest", fill=7), "crop"),
    "enlarged": (SQUARE, "coop-2021"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [(32, 32), (40, 24), (133, 71), (70, 131), (9, 5), (33, 300)])
def test_lines_give_the_evaluation_view(case, size):
    preprocess, preset = CASES[case]
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    names = {"Image": Image, "ImageOps": ImageOps, "image": image}
    exec("\n".join(resize_lines(preprocess, preset)), names)
    got = torch.from_numpy(np.asarray(names["image"]).transpose(2, 0, 1).copy())
    assert torch.equal(got, evaluation_view(image, preprocess, preset))
    assert str(preprocess.size[0]) in resize_words(preprocess, preset)
