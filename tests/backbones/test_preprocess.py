"""Valid and invalid values of `preprocess_cfg`."""

import pytest
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

import tiny_clips
from cliptune.backbones.preprocess import Preprocess
from cliptune.errors import UserError


def test_missing_fields_are_open_clips_defaults():
    assert Preprocess.of({"size": 32}) == Preprocess(
        (32, 32), "shortest", "bicubic", 0, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
    )
    nothing = {"size": [48, 32], "mean": None, "std": None, "resize_mode": None, "interpolation": "random"}
    assert Preprocess.of(nothing) == Preprocess((48, 32))
    assert Preprocess.of({"size": 32, "mean": 0.5, "std": [0.1, 0.2, 0.3], "fill_color": [1, 2, 3]}) == Preprocess(
        (32, 32), fill=(1, 2, 3), mean=(0.5,) * 3, std=(0.1, 0.2, 0.3)
    )


@pytest.mark.parametrize(
    "cfg, reason",
    [
        ({"resize_mode": "stretch"}, "resize_mode='stretch', which must be one of shortest, longest, squash"),
        ({"interpolation": "lanczos"}, "interpolation='lanczos', which must be one of bicubic, bilinear"),
        ({"size": (32, 0)}, r"size=\(32, 0\)"),
        ({"size": (32, 32, 32)}, r"size=\(32, 32, 32\)"),
        ({"mean": (0.5, 0.5)}, r"mean=\(0.5, 0.5\)"),
        ({"mean": (0.5, 0.5, float("nan"))}, "mean=.*nan"),
        ({"std": (0.5, 0.0, 0.5)}, r"std=\(0.5, 0.0, 0.5\)"),
    ],
)
def test_values_that_open_clip_does_not_support_are_refused(cfg, reason):
    with pytest.raises(UserError, match=reason):
        Preprocess.of({"size": 32, **cfg})


def test_a_backbone_has_its_preprocessing():
    backbone = tiny_clips.backbone("deep_image")
    assert backbone.preprocess == Preprocess((32, 32), mean=(0.5,) * 3, std=(0.2,) * 3) and backbone.image_size == 32


def test_the_key_covers_every_field_that_decides_pixels():
    plain = Preprocess((32, 48))
    others = [
        Preprocess((48, 32)),
        Preprocess((32, 48), "squash"),
        Preprocess((32, 48), interpolation="bilinear"),
        Preprocess((32, 48), fill=1),
    ]
    assert len({p.pixels for p in (plain, *others)}) == 5
    assert Preprocess((32, 48), mean=(0.0,) * 3).pixels == plain.pixels, "pixels are stored before normalising"
