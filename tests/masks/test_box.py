"""Boxes as foreground masks, from every supported annotation format, valid and invalid."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune import masks
from cliptune.data.image_io import read_image
from cliptune.errors import UserError
from cliptune.masks.box_table import read_boxes
from cliptune.types import DecodedImage, Example

BOXES = {"cat/1.jpg": [[1, 0, 3, 2]], "dog/2.jpg": [[0, 0, 2, 1], [4, 2, 6, 4]]}
ROWS = [(name, *box) for name, boxes in BOXES.items() for box in boxes]
XML = """<annotation><filename>wrong.jpg</filename><size><width>6</width></size>{}</annotation>"""
OBJECT = (
    "<object><name>x</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
    "<part><name>head</name></part></object>"
)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def csv(*rows, header="path,xmin,ymin,xmax,ymax"):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


COCO = {
    "images": [{"id": i, "file_name": name} for i, name in enumerate(BOXES)],
    "annotations": [{"image_id": list(BOXES).index(name), "bbox": [a, b, c - a, d - b]} for name, a, b, c, d in ROWS],
}
KINDS = {
    "plain.csv": csv(*ROWS),
    "marked.csv": "\ufeff" + csv(*ROWS, header="Filename, X1 ,Y1,X2,Y2"),
    "sides.csv": csv(*((n, a, b, c - a, d - b) for n, a, b, c, d in ROWS), header="image,x,y,w,h"),
    "shares.csv": csv(*((n, a / 6, b / 4, c / 6, d / 4) for n, a, b, c, d in ROWS)),
    "named.json": BOXES,
    "one.json": {"cat/1.jpg": BOXES["cat/1.jpg"][0], "dog/2.jpg": BOXES["dog/2.jpg"]},
    "records.json": [{"path": n, "xmin": a, "ymin": b, "xmax": c, "ymax": d} for n, a, b, c, d in ROWS],
    "listed.json": [{"file_name": name, "boxes": boxes} for name, boxes in BOXES.items()],
    "coco.json": COCO,
}


@pytest.mark.parametrize("name", [*KINDS, "folder", "deep"])
def test_foreground_is_the_union_of_boxes(tmp_path, name):
    if name in KINDS:
        path = write(tmp_path / name, KINDS[name])
    else:
        path = tmp_path / "Annotations"
        for image, boxes in BOXES.items():
            stem = image.removesuffix(".jpg") if name == "deep" else image[4:-4]
            write(path / f"{stem}.xml", XML.format("".join(OBJECT.format(*box) for box in boxes)))
    source = masks.get(f"box:{path}")
    for key, boxes in BOXES.items():
        expected = np.zeros((4, 6), np.uint8)
        for left, top, right, bottom in boxes:
            expected[top:bottom, left:right] = 255
        mask = source.mask(Example(f"train/{key}", 0), DecodedImage(torch.zeros(3, 4, 6, dtype=torch.uint8)))
        assert mask.dtype == torch.uint8 and mask[0].equal(torch.from_numpy(expected)), key
    source.check([Example(key, 0) for key in BOXES])


def test_boxes_refer_to_the_exif_rotated_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    Image.new("RGB", (80, 40)).save(path, exif=exif)
    example, image = Example("a.jpg", 0, path), read_image(path)
    assert image.image.shape == (3, 80, 40)
    source = masks.get(f"box:{write(tmp_path / 'b.json', {'a.jpg': [[-5, 60, 20, 999]]})}")
    mask = source.mask(example, image)
    assert mask[0, 60:, :20].min() == 255 and int((mask > 0).sum()) == 400
    half = source.mask(example, DecodedImage(torch.zeros(3, 40, 20, dtype=torch.uint8)))
    assert half[0, 30:, :10].min() == 255 and int((half > 0).sum()) == 100


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "a.csv",
            csv(("a.jpg", 5, 2, 5, 4)),
            r"a\.csv line 2: the box 5,2,5,4 is empty; .*a\.csv contains no valid box",
        ),
        ("a.csv", csv(("a.jpg", 1, 2, "x", 4)), r"a\.csv line 2: \['1', '2', 'x', '4'\] is not a box"),
        ("a.csv", csv(("a.jpg", 1, 2)), r"line 2: \['1', '2', None, None\] is not a box"),
        ("a.csv", csv(("a.jpg", 1, 2, 3, 4), header="path,a,b,c,d"), "line 2: no box; name the columns xmin,ymin"),
        ("a.csv", csv((1, 2, 3, 4), header="xmin,ymin,xmax,ymax"), "line 2: no image is named; call the column path"),
        ("a.csv", csv(("a.jpg", 1, 2, "x", 4), header="path,x,y,w,h"), "line 2: .* is not a box of x, y, width"),
        ("a.csv", "", "a.csv contains no boxes"),
        ("a.json", "{", r"a\.json line 1: not JSON"),
        ("a.json", {"a.jpg": [[1, 2, 3]]}, r"a\.json, a\.jpg: \[1, 2, 3\] is not a box"),
        ("a.json", {"a.jpg": "x"}, "a.jpg: 'x' is not a box"),
        ("a.json", {"a.jpg": None}, "a.jpg: None is not a box"),
        ("a.json", [1], r"a\.json, entry 1: 1 is not a record"),
        ("a.json", [{"path": "a.jpg", "boxes": [7]}], "entry 1: 7 is not a box"),
        ("a.json", 3, "neither images with boxes nor"),
        ("a.json", {"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}]}, "has no 1 in its images"),
        ("a.xml", "<a>", r"annotation .*a\.xml cannot be read"),
        ("a.xml", XML.format(OBJECT.format(1, "", 3, 4)), r"a\.xml, object 1: .* is not a box"),
        ("a.txt", "1 2 3 4", r"boxes are read from \.csv, \.json or \.xml, not from"),
    ],
)
def test_invalid_files_are_refused(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        read_boxes(write(tmp_path / name, content))


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no boxes at .*a\.csv; check the path after box:"):
        masks.get(f"box:{tmp_path / 'a.csv'}")
    with pytest.raises(UserError, match="no XML annotations in"):
        masks.get(f"box:{tmp_path}")
    source = masks.get(f"box:{write(tmp_path / 'a.csv', csv(*ROWS))}")
    pair = [Example("cat/1.jpg", 0), Example("cow/1.jpg", 1)]
    with pytest.raises(
        UserError, match=r"masks of 1 of 2 .* \(1 missing\): cow/1\.jpg has no box in .*a\.csv; add one"
    ):
        source.check(pair)
    with pytest.raises(UserError, match=r"no box for cow/1\.jpg in"):
        source.mask(pair[1], DecodedImage(torch.zeros(3, 4, 6, dtype=torch.uint8)))


BAD = {
    "empty.jpg": ((5, 2, 5, 4), "line 3: the box 5,2,5,4 is empty"),
    "turned.jpg": ((5, 2, 3, 4), "line 4: the box 5,2,3,4 ends before it begins"),
    "nan.jpg": ((5, "nan", 6, 4), "line 5: the box 5,nan,6,4 has sides that are not finite numbers"),
    "inf.jpg": ((5, 2, "inf", 4), "line 6: the box 5,2,inf,4 has sides that are not finite numbers"),
    "blank.jpg": ((5, "", 6, 4), "line 7: .* is not a box"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_box_is_a_fault_of_its_image(tmp_path, name):
    rows = [("good.jpg", 0, 0, 3, 4), *((name, *box) for name, (box, _) in BAD.items())]
    source = masks.get(f"box:{write(tmp_path / 'a.csv', csv(*rows))}")
    (fault,) = source.find_problems([Example("good.jpg", 0), Example(name, 0)])
    assert fault.key == name and fault.kind == "bad box" and re.search(BAD[name][1], fault.text)
    with pytest.raises(UserError, match=r"masks of 1 of 2 images cannot be used \(1 bad box\): .*--skip-bad skips"):
        source.check([Example("good.jpg", 0), Example(name, 0)])
    blank = DecodedImage(torch.zeros(3, 4, 6, dtype=torch.uint8))
    assert int((source.mask(Example("good.jpg", 0), blank) > 0).sum()) == 12
    with pytest.raises(UserError, match=BAD[name][1]):
        source.mask(Example(name, 0), blank)


def test_an_invalid_box_among_valid_ones_is_dropped(tmp_path):
    source = masks.get(f"box:{write(tmp_path / 'a.csv', csv(('a.jpg', 0, 0, 3, 4), ('a.jpg', 5, 2, 5, 4)))}")
    with pytest.warns(UserWarning, match=r"boxes of 1 of 1 images are skipped, .*line 3: the box"):
        assert source.find_problems([Example("a.jpg", 0)]) == []


def test_boxes_outside_the_image(tmp_path):
    rows = {"in": (1, 1, 50, 30), "out": (90, 5, 99, 20), "beyond": (40, 5, 150, 20), "thin": (10, 5, 10.2, 20)}
    examples = []
    for name in rows:
        Image.new("RGB", (80, 40)).save(tmp_path / f"{name}.png")
        examples.append(Example(f"{name}.png", 0, tmp_path / f"{name}.png"))
    path = write(tmp_path / "a.csv", csv(*((f"{name}.png", *box) for name, box in rows.items())))
    source = masks.get(f"box:{path}")
    with pytest.warns(UserWarning, match=r"boxes of 1 of 4 images exceed them .* example beyond\.png of 80x40"):
        faults = source.find_problems(examples)
    assert [(fault.key, fault.kind) for fault in faults] == [("out.png", "bad box"), ("thin.png", "bad box")]
    mask = source.mask(examples[2], DecodedImage(torch.zeros(3, 20, 40, dtype=torch.uint8)))
    assert int((mask > 0).sum()) == 20 * 8
