"""Mask sources by name, and the sources `data`, `full`, `grid` and `auto`."""

import random
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cliptune import masks
from cliptune.errors import UserError
from cliptune.masks.folder import FolderMasks
from cliptune.masks.from_dataset import DataMasks
from cliptune.masks.full import FullMasks
from cliptune.masks.grid import CELL_SIZES, GridMasks, cell_size, grid_mask
from cliptune.masks.pixel_encoding import PixelEncoding
from cliptune.masks.saliency_masks import GradCamMasks
from cliptune.masks.source import ModelMaskSource
from cliptune.types import DecodedImage, Example

EXAMPLE = Example("cat/1.png", 0)


def decoded_image(height=64, width=64, mask=None):
    return DecodedImage(torch.zeros(3, height, width, dtype=torch.uint8), mask)


def test_sources_by_name(tmp_path):
    for spec, kind in {"data": DataMasks, "full": FullMasks, "gradcam": GradCamMasks, "grid": GridMasks}.items():
        assert type(masks.get(spec)) is kind
    folder, seem = masks.get(f"folder:{tmp_path}"), masks.get(f"seem:{tmp_path}")
    assert isinstance(folder, FolderMasks) and isinstance(seem, FolderMasks)
    assert folder.root == tmp_path and (folder.reader.encoding.kind, seem.reader.encoding.kind) == ("auto", "release")


def test_random_masks_use_the_runs_seed():
    drawn = [masks.choose_source("grid", (), 1, seed).mask(EXAMPLE, decoded_image()) for seed in (1, 2, 1)]
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])


def test_the_pixel_encoding_follows_the_path(tmp_path):
    source = masks.get(f"folder:{tmp_path},foreground=1+3")
    assert isinstance(source, FolderMasks) and source.root == tmp_path
    assert source.reader.encoding == PixelEncoding("labels", foreground=(1, 3))
    seem = masks.get(f"seem:{tmp_path},foreground=1")
    assert isinstance(seem, FolderMasks) and seem.root == tmp_path and seem.reader.encoding == PixelEncoding("release")


@pytest.mark.parametrize("spec", ["gradcma", "", "folder", "folder:", "data:x", "full:1", "auto"])
def test_unknown_names_show_the_known(spec):
    with pytest.raises(UserError, match=f"unknown mask source '{spec}'; known: auto, data, .*folder:PATH"):
        masks.get(spec)


def test_auto_uses_the_datas_masks_if_every_image_has_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(masks.choose_source("auto", {"a", "b"}, 2), DataMasks)
        assert isinstance(masks.choose_source("full", {"a"}, 2), FullMasks)
        assert isinstance(masks.choose_source("gradcam", (), 2), GradCamMasks)
    with pytest.warns(UserWarning, match="foregrounds come from Grad-CAM"):
        assert isinstance(masks.choose_source("auto", (), 2), GradCamMasks)


def test_only_changing_masks_are_marked_as_changing():
    assert [kind.changes for kind in (DataMasks, FolderMasks, FullMasks, GradCamMasks, GridMasks)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_data_masks_are_those_of_the_images():
    own = torch.arange(12, dtype=torch.uint8).view(1, 3, 4)
    assert DataMasks().mask(EXAMPLE, decoded_image(3, 4, own)) is own
    with pytest.raises(UserError, match=r"cat/1\.png has no mask .*; choose another source: folder:PATH or gradcam"):
        DataMasks().mask(EXAMPLE, decoded_image())


def test_full_masks_hide_nothing():
    mask = FullMasks().mask(EXAMPLE, decoded_image(5, 7))
    assert mask.shape == (1, 5, 7) and mask.dtype == torch.uint8 and mask.min() == 255


def test_a_grid_uses_one_random_number_per_cell():
    height, width, cell = 10, 7, 4
    mask = grid_mask(height, width, cell, random.Random(3))
    rng = random.Random(3)
    expected = torch.empty(1, height, width, dtype=torch.uint8)
    for top in range(0, height, cell):
        for left in range(0, width, cell):
            expected[:, top : top + cell, left : left + cell] = 0 if rng.random() <= 0.5 else 1
    assert torch.equal(mask, expected)


def test_cell_sizes_are_drawn_from_the_generator():
    generator = torch.Generator().manual_seed(0)
    drawn = [cell_size(generator) for _ in range(50)]
    assert set(drawn) == set(CELL_SIZES)
    again = torch.Generator().manual_seed(0)
    assert [cell_size(again) for _ in range(50)] == drawn


def test_grids_depend_on_image_epoch_and_seed_only():
    source = GridMasks(seed=1)
    first = source.mask(EXAMPLE, decoded_image())
    assert torch.equal(first, GridMasks(seed=1).mask(EXAMPLE, decoded_image()))
    assert set(first.unique().tolist()) == {0, 255} and first.shape == (1, 64, 64)
    others = [GridMasks(seed=2).mask(EXAMPLE, decoded_image()), source.mask(Example("cat/2.png", 0), decoded_image())]
    others.append(source.for_epoch(1).mask(EXAMPLE, decoded_image()))
    assert torch.equal(first, source.for_epoch(0).mask(EXAMPLE, decoded_image()))
    assert not any(torch.equal(first, other) for other in others)


def test_half_of_an_image_is_hidden_on_average():
    source = GridMasks()
    shares = [(source.mask(Example(str(i), 0), decoded_image()) > 0).float().mean().item() for i in range(100)]
    assert 0.45 < sum(shares) / 100 < 0.55


def test_auto_reports_images_without_a_mask():
    with pytest.warns(UserWarning, match=r"^1 of 3 training images have a mask .* example cat/1\.png: .* other 2 come"):
        source = masks.choose_source("auto", {EXAMPLE.key}, 3)
    assert source.changes and isinstance(source, ModelMaskSource)
    own = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    assert source.mask(EXAMPLE, decoded_image(8, 8, own)) is own
    source = replace(source, computed=replace(source.computed, maps={"cat/2.png": torch.eye(2)[None]}))
    made = source.mask(Example("cat/2.png", 0), decoded_image(8, 8))
    assert made.shape == (1, 8, 8) and set(made.unique().tolist()) == {0, 255}
    problems = source.find_problems([Example("cat/1.png", 0, mask=Path("gone.png"))])
    assert [problem.key for problem in problems] == ["cat/1.png"]
