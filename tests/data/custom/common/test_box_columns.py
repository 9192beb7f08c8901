"""Box columns of a table are foreground masks; the rows of one image are its objects."""

import warnings

import pytest
import torch
from PIL import Image

import cliptune as ct
from cliptune.data.custom.csv import Csv
from cliptune.errors import UserError
from cliptune.masks.from_dataset import DataMasks
from cliptune.types import DecodedImage


@pytest.fixture
def table(tmp_path):
    """A function that writes a table of eight images of 40 x 20 pixels: `rows` give label and boxes of the first."""
    for i in range(8):
        Image.effect_noise((40, 20), 90).convert("RGB").save(tmp_path / f"{i}.png")

    def write(header, *rows, other="0,0,20,10"):
        lines = [f"path,label,{header}", *(f"0.png,{row}" for row in rows)]
        lines += [f"{i}.png,{'cat' if i % 2 else 'dog'},{other}" for i in range(1, 8)]
        (tmp_path / "t.csv").write_text("\n".join(lines))
        return tmp_path / "t.csv"

    return write


def opened(path):
    with warnings.catch_warnings(record=True, action="always") as error:
        data = Csv(path)
    return {e.key: e for e in data.evaluation_examples()}, data, [str(note.message) for note in error]


def foreground(example, size=(20, 40)):
    mask = DataMasks().mask(example, DecodedImage(torch.zeros(3, *size, dtype=torch.uint8)))
    rows, columns = mask[0].nonzero().T
    return [int(x) for x in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)], int((mask > 0).sum())


@pytest.mark.parametrize(
    "header, row, other",
    [
        ("xmin,ymin,xmax,ymax", "4,2,14,8", "0,0,20,10"),
        ("X1,Y1,X2,Y2", "4,2,14,8", "0,0,20,10"),
        ("x_min,y_min,x_max,y_max", "4,2,14,8", "0,0,20,10"),
        ("left,top,right,bottom", "4,2,14,8", "0,0,20,10"),
        ("x,y,w,h", "4,2,10,6", "0,0,20,10"),
        ("x,y,width,height", "4.0,2.0,10.0,6.0", "0,0,20,10"),
        ("xmin,ymin,xmax,ymax", "0.1,0.1,0.35,0.4", "0,0,1,1"),
        ("bbox", '"[4, 2, 14, 8]"', '"[1, 1, 20, 10]"'),
        ("bbox", '"[4, 2, 10, 6]"', '"[30, 10, 5, 5]"'),
        ("boxes", '"[[4, 2, 14, 8]]"', '"[[1, 1, 2, 2], [3, 3, 5, 5]]"'),
    ],
)
def test_box_columns_of_every_kind(table, header, row, other):
    found, _, notes = opened(table(header, f"cat,{row}", other=other))
    assert foreground(found["0.png"]) == ([4, 2, 14, 8], 60)
    assert foreground(found["0.png"], (10, 20)) == ([2, 1, 7, 4], 15), "of an image read smaller"
    assert len(notes) == (header == "bbox" or header == "boxes")


def test_several_rows_of_one_image(table):
    found, data, notes = opened(table("xmin,ymin,xmax,ymax,area", "cat,4,2,14,8,60", "cat,20,2,24,8,24",
                                      other="0,0,20,10,200"))  # fmt: skip
    assert foreground(found["0.png"]) == ([4, 2, 24, 8], 84) and notes == []
    assert data.classnames == ("cat", "dog") and found["0.png"].labels == ()


def test_objects_of_several_classes_are_several_labels(table):
    found, data, _ = opened(table("xmin,ymin,xmax,ymax", "cat,4,2,14,8", "dog,20,2,24,8", "cat,1,1,2,2"))
    assert found["0.png"].labels == (0, 1) and len(found["0.png"].boxes) == 3
    assert found["1.png"].labels == (0,)


def test_rows_of_one_image_in_two_splits_are_refused(table):
    path = table("xmin,ymin,xmax,ymax,split", "cat,4,2,14,8,train", "cat,4,2,14,8,test", other="0,0,9,9,train")
    with pytest.raises(UserError, match="lines 2 and 3 of .* both list 0.png, and differ"):
        Csv(path)


def test_empty_boxes_are_dropped(table):
    found, _, notes = opened(table("xmin,ymin,xmax,ymax", "cat,4,2,4,8", "cat,,,,", "cat,1,2,3,4"))
    assert found["0.png"].boxes == ((1, 2, 3, 4),)
    assert [note.partition(" of ")[0] for note in notes] == ["1 boxes"] and "the first in line 2; ignored" in notes[0]


@pytest.mark.parametrize("row", ["cat,4,2,x,8", "cat,4,2,,8"])
def test_cells_must_be_numbers(table, row):
    with pytest.raises(UserError, match="line 2 of .*t.csv: .* is not a box of four numbers"):
        Csv(table("xmin,ymin,xmax,ymax", row))


def test_auto_masks_use_the_boxes(table):
    path = table("xmin,ymin,xmax,ymax", "cat,4,2,14,8")
    with warnings.catch_warnings(action="error"):
        warnings.filterwarnings("ignore", "the bundled tiny backbone knows drawings only")
        run = ct.train("maple+dapt", data=f"csv:{path}", shots=1, epochs=1)
    assert "pull_push" in run.result.history[0]
