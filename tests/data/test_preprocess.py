"""Evaluation views equal those of open_clip's transform for every configuration."""

import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from torchvision.transforms.v2.functional import to_pil_image

from cliptune.backbones.preprocess import Preprocess
from cliptune.data import disk_cache
from cliptune.data.custom.folder import Folder
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import PRESETS, RandomCropFlip, RandomTranslate, evaluation_view, squash, standardise
from cliptune.types import DecodedImage
from noise_images import noise_image, seeded_generator

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
SHAPES = [(64, 64), (100, 70), (50, 121), (20, 16), (224, 300), (48, 32), (300, 40)]


@pytest.mark.parametrize("size", [(32, 32), (48, 32), (24, 56)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize("mode, fill", [("shortest", 0), ("longest", 0), ("longest", 127), ("squash", 0)])
def test_evaluation_is_open_clips(size, interpolation, mode, fill):
    cfg = {"size": size, "mean": MEAN, "std": STD, "interpolation": interpolation, "resize_mode": mode}
    theirs = image_transform_v2(PreprocessCfg(**cfg, fill_color=fill), is_train=False)
    preprocess = Preprocess.of({**cfg, "fill_color": fill})
    for height, width in SHAPES:
        image = to_pil_image(noise_image(height, width))
        view = standardise(evaluation_view(image, preprocess), preprocess.mean, preprocess.std)
        assert view.shape == (3, *size) and torch.equal(view, theirs(image)), (height, width)


def test_a_color_fills_the_border():
    view = evaluation_view(to_pil_image(noise_image(20, 40)), Preprocess((32, 32), "longest", fill=(10, 20, 30)))
    assert view[:, 0].unique(dim=1).flatten().tolist() == [10, 20, 30]


@pytest.mark.parametrize("preset", PRESETS)
def test_training_views_have_the_size_and_interpolation_of_the_backbone(preset):
    image = DecodedImage(noise_image(60, 90), noise_image(60, 90)[:1])
    made = [
        PRESETS[preset]((48, 32), interpolation=mode)(image, seeded_generator(3)) for mode in ("bicubic", "bilinear")
    ]
    for view in made:
        assert view.image.shape == (3, 48, 32) and view.mask.shape == (1, 48, 32)
    assert not torch.equal(made[0].image, made[1].image) and torch.equal(made[0].mask, made[1].mask)


def test_one_number_is_a_square_of_it():
    image = DecodedImage(noise_image(60, 90))
    for view in (RandomCropFlip, RandomTranslate):
        one, two = (view(size)(image, seeded_generator(5)).image for size in (32, (32, 32)))
        assert torch.equal(one, two)


def test_a_squeezed_image_fills_the_view_in_every_mode():
    white = torch.full((3, 30, 90), 255, dtype=torch.uint8)
    for mode in ("shortest", "longest", "squash"):
        assert (squash(white, Preprocess((48, 32), mode)) == 255).all()
    sharp, soft = (squash(noise_image(60, 90), Preprocess((32, 32), interpolation=i)) for i in ("bicubic", "bilinear"))
    assert not torch.equal(sharp, soft)


#: One change of each field that decides pixels, and two training presets.
KINDS = [
    (Preprocess((32, 32)), "crop"),
    (Preprocess((48, 48)), "crop"),
    (Preprocess((32, 48)), "crop"),
    (Preprocess((48, 32)), "crop"),
    (Preprocess((32, 32), "squash"), "crop"),
    (Preprocess((32, 32), "longest"), "crop"),
    (Preprocess((32, 32), "longest", fill=99), "crop"),
    (Preprocess((32, 32), interpolation="bilinear"), "crop"),
    (Preprocess((32, 32)), "coop-2021"),
]


def test_the_stores_key_contains_everything_that_decides_pixels(tmp_path, monkeypatch):
    """Each kind of view is stored once and found again, and is never confused with another."""
    monkeypatch.setattr(disk_cache, "MIN_ENTRY_BYTES", 0)
    monkeypatch.setenv("CLIPTUNE_CACHE", str(tmp_path / "cache"))
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        to_pil_image(noise_image(60, 90)).save(tmp_path / "photos" / name / "0.png")
    for again in (False, True):
        for preprocess, preset in KINDS:
            folder = Folder(tmp_path / "photos")
            view = ExampleSet(folder, folder.examples("train")[:1], preprocess, preset=preset).view(0)
            assert torch.equal(view, evaluation_view(to_pil_image(noise_image(60, 90)), preprocess, preset)), (
                preprocess,
                again,
            )
        assert len([p for p in (tmp_path / "cache").rglob("*") if p.is_file()]) == len(KINDS)
