"""Mask statistics against counting by hand, and warnings before training."""

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.custom.folder import Folder
from cliptune.data.loader import ExampleSet
from cliptune.errors import UserError
from cliptune.masks.folder import FolderMasks
from cliptune.masks.from_dataset import AlphaMasks, DataMasks
from cliptune.masks.full import FullMasks
from cliptune.masks.statistics import MaskStatistics, find_outliers, iou, mean_by_class, measure_masks
from cliptune.masks.validate import validate_masks
from cliptune.types import DecodedImage, Example


def plane(*rows):
    return torch.tensor([rows], dtype=torch.uint8)


def examples(photos) -> ExampleSet:
    dataset = Folder(photos)
    return ExampleSet(dataset, dataset.examples("train"), Preprocess((32, 32)))


@pytest.mark.parametrize(
    "one, other, expected",
    [
        (plane([255, 255, 0, 0]), plane([0, 255, 255, 0]), 1 / 3),
        (plane([0, 0]), plane([0, 0]), 1.0),
        (plane([0, 0]), plane([255, 0]), 0.0),
        (plane([51, 204]), plane([102, 102]), (51 + 102) / (102 + 204)),
    ],
)
def test_intersection_over_union(one, other, expected):
    assert iou(one, other) == iou(other, one) == pytest.approx(expected)


def test_statistics_equal_counting_by_hand(photos):
    found, faults = measure_masks(examples(photos), FolderMasks(photos.parent / "masks"), FullMasks())
    assert not faults and [row.index for row in found] == list(range(len(found)))
    for row in found:
        pixels = np.asarray(Image.open(photos.parent / "masks" / row.key), dtype=float)
        assert row.share == pytest.approx(pixels.mean() / 255)
        assert row.soft == pytest.approx(((pixels > 0) & (pixels < 255)).mean())
        assert row.iou == pytest.approx(row.share, rel=1e-5), "all of the image is the union"
        assert not row.empty and not row.full


def test_faults_do_not_stop_the_rest(photos, tmp_path):
    for path in (photos.parent / "masks").rglob("*.png"):
        copy = tmp_path / path.parent.name / path.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    chosen, source = examples(photos), FolderMasks(tmp_path)
    keys = [example.key for example in chosen.examples]
    (tmp_path / keys[0]).unlink()
    (tmp_path / keys[1]).write_bytes((tmp_path / keys[1]).read_bytes()[:-40])  # an intact header
    Image.new("L", (7, 90)).save(tmp_path / keys[2])
    Image.new("L", (64, 64)).save(tmp_path / keys[3])
    found, faults = measure_masks(chosen, source)
    assert {fault.key: fault.kind for fault in faults} == dict(
        zip(keys, ("missing", "unreadable", "wrong shape"), strict=False)
    )
    assert [row.key for row in found] == keys[3:] and [row.empty for row in found][:2] == [True, False]
    _, against = measure_masks(chosen, FullMasks(), source)
    assert len(against) == 3, "the other source's faults count as well"
    _, missing = measure_masks(chosen, DataMasks())
    assert {fault.kind for fault in missing} == {"missing"} and len(missing) == len(keys)


def rows(*shares, label=0):
    return [
        MaskStatistics(i, f"{label}/{i}", label, share, 0, False, False, 1 - share) for i, share in enumerate(shares)
    ]


def test_outliers_differ_from_their_own_class():
    few, many = rows(0.1, 0.12, 0.9, 0.11, 0.1), rows(0.8, 0.85, 0.9, 0.82, label=1)
    assert [(row.key, middle) for row, middle in find_outliers(few + many)] == [("0/2", 0.11)]
    assert find_outliers(rows(0.1, 0.9, 0.1)) == [], "three masks are too few"
    assert find_outliers(rows(0.1, 0.3, 0.5, 0.7, 0.9)) == [], "nothing is unlike what is spread"
    assert list(mean_by_class(many + few, lambda row: row.share)) == [0, 1]


def test_empty_and_full_masks_are_named_before_training(photos, tmp_path):
    chosen, source = examples(photos), FolderMasks(tmp_path)
    for i, example in enumerate(chosen.examples):
        (tmp_path / example.key).parent.mkdir(exist_ok=True)
        values = np.zeros((64, 64), np.uint8)
        values[:, : (0 if i < 5 else 64 if i == 5 else 20)] = 255
        Image.fromarray(values).save(tmp_path / example.key)
    keys, total = [e.key for e in chosen.examples], len(chosen)
    with pytest.warns(UserWarning) as noted:
        validate_masks(chosen, source)
    assert [str(n.message) for n in noted] == [
        f"5 of {total} masks have no foreground: {', '.join(keys[:3])} and 2 more; cliptune masks check shows them",
        f"1 of {total} masks have no background: {keys[5]}; cliptune masks check shows them",
    ]
    validate_masks(chosen, FullMasks())  # no warning: full foreground was requested


def test_unavailable_masks_are_counted(photos):
    with pytest.raises(UserError, match=r"^(\d+) of \1 images have no usable mask; the first: .* has no mask"):
        validate_masks(examples(photos), DataMasks())


def test_a_mask_file_of_the_data_takes_precedence_over_transparency(tmp_path):
    Image.fromarray(np.full((4, 6), 255, np.uint8)).save(tmp_path / "m.png")
    own = torch.zeros(1, 4, 6, dtype=torch.uint8)
    image = DecodedImage(torch.zeros(3, 4, 6, dtype=torch.uint8), own)
    named, gone = Example("a", 0, mask=tmp_path / "m.png"), Example("b", 0, mask=tmp_path / "n.png")
    assert DataMasks().mask(named, image).min() == 255
    assert AlphaMasks().mask(named, image) is own and DataMasks().mask(Example("a", 0), image) is own
    DataMasks().check([named, named, Example("c", 0)])
    with pytest.raises(UserError, match=r"1 of 2 .*: b has no mask where the dataset says it is"):
        DataMasks().check([named, gone])
