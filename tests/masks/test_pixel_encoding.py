"""Interpretation of the pixel values of mask files, in every file format."""

import io

import numpy as np
import pytest
from PIL import Image

from cliptune.errors import UserError
from cliptune.masks.decode import read_mask
from cliptune.masks.pixel_encoding import PixelEncoding, decode_foreground, parse_path_options

ROUND = ((np.mgrid[:60, :90] - np.array([30, 45])[:, None, None]) ** 2 / np.array([400, 900])[:, None, None]).sum(0) < 1


def read(values, kind="auto", **more):
    mask, remark = decode_foreground(np.asarray([values], np.uint8), PixelEncoding(kind), **more)
    assert mask.dtype == np.uint8
    return mask[0].tolist(), remark


@pytest.mark.parametrize(
    "raw, expected, remark",
    [
        ([0, 1], [0, 255], ""),
        ([0, 255], [0, 255], ""),
        ([0, 254], [0, 255], ""),
        ([0, 15], [0, 255], ""),
        ([0, 128], [0, 255], ""),
        ([0, 0], [0, 0], ""),
        ([255, 255], [255, 255], ""),
        ([*range(0, 255, 5)], [*range(0, 255, 5)], ""),
        ([0, 51, 102, 255], [0, 51, 102, 255], "contains 3 levels (51, 102, 255), read as grey"),
        ([0, 1, 7, 20], [0, 255, 255, 255], "contains small values up to 20, read as labels"),
        ([0, 1, 7, 20, 255], [0, 255, 255, 255, 0], "foreground, 255 is void"),
        ([1, 2, 3], [255, 0, 0], "contains 1 and 2 and 3 without 0, read as trimap: 1 is foreground, 2 background"),
        ([1, 3], [255, 0], "read as trimap"),
        ([2, 2], [255, 255], ""),
        ([1, 2, 3, 4], [255] * 4, "contains small values up to 4, read as labels"),
        ([0, 1, 2, 3], [0, 255, 255, 255], "contains small values up to 3, read as labels"),
    ],
)
def test_automatic_encoding(raw, expected, remark):
    mask, note = read(raw)
    assert mask == expected
    assert remark in note if remark else note == ""


@pytest.mark.parametrize(
    "raw, release, labels",
    [
        ([0, 1], [0, 255], [0, 255]),
        ([0, 255], [0, 0], [0, 0]),
        ([0, 51, 102, 255], [0, 255, 255, 0], [0, 255, 255, 0]),
        ([254], [255], [255]),
    ],
)
def test_explicit_encodings(raw, release, labels):
    assert read(raw, "release")[0] == release
    assert read(raw, "labels") == (labels, "")
    assert read(raw, "grey") == (raw, "")


@pytest.mark.parametrize(
    "raw, expected, remark",
    [
        (
            [0, 1, 255, 300],
            [0, 255, 255, 255],
            "contains 3 values up to 300, read as labels: all but 0 are foreground;",
        ),
        ([0, 24000, 26001, 65535], [0, 255, 255, 0], "read as labels: all but 0 are foreground, 65535 is void"),
        ([0, 65535], [0, 255], ""),
        ([0, 300], [0, 255], ""),
        ([0, 257, 514], [0, 255, 255], "contains small values up to 2, read as labels"),
        ([257 * level for level in range(256)], [*range(256)], ""),
        ([*range(0, 3000)], [0] + [255] * 2999, "contains 2,999 values up to 2,999, read as labels"),
        ([*range(0, 65535, 129)], [round(v / 257) for v in range(0, 65535, 129)], ""),
    ],
)
def test_more_than_eight_bits(raw, expected, remark):
    mask, note = decode_foreground(np.asarray([raw], np.uint16), PixelEncoding())
    assert mask.dtype == np.uint8 and mask[0].tolist() == expected
    assert remark in note if remark else note == ""


def test_deep_values_with_an_explicit_encoding():
    numbers = np.array([[0, 7, 255, 26001, 65535]], np.int32)
    assert decode_foreground(numbers, PixelEncoding("labels"))[0].tolist() == [[0, 255, 255, 255, 0]]
    assert decode_foreground(numbers, PixelEncoding("labels", foreground=(26001,)))[0].tolist() == [[0, 0, 0, 255, 0]]
    assert decode_foreground(numbers, PixelEncoding("labels", void=255))[0].tolist() == [[0, 255, 0, 255, 255]]
    assert decode_foreground(numbers, PixelEncoding("grey"))[0].tolist() == [[0, 0, 1, 101, 255]]
    assert decode_foreground(np.array([[1, 2, 3]], np.uint8), PixelEncoding("trimap"))[0].tolist() == [[255, 0, 0]]


def test_the_release_encoding_warns_if_a_usual_mask_becomes_background():
    assert "folder: reads 255 as foreground" in read([0, 255], "release")[1]
    assert read([0, 1, 255], "release")[1] == "" == read([0, 0], "release")[1]


def test_chosen_labels_and_void():
    numbers = np.array([[0, 1, 2, 3, 255]], np.uint8)
    assert decode_foreground(numbers, PixelEncoding("labels", foreground=(1, 3)))[0].tolist() == [[0, 255, 0, 255, 0]]
    assert decode_foreground(numbers, PixelEncoding("labels", void=2))[0].tolist() == [[0, 255, 0, 255, 255]]


@pytest.mark.parametrize(
    "text, path, values",
    [
        ("a/b", "a/b", PixelEncoding()),
        ("a,b/c=d,e", "a,b/c=d,e", PixelEncoding()),
        ("a,values=grey", "a", PixelEncoding("grey")),
        ("a,void=0", "a", PixelEncoding("labels", 0)),
        ("a,b,values=labels,void=254,foreground=1+3", "a,b", PixelEncoding("labels", 254, (1, 3))),
        ("a,values=trimap", "a", PixelEncoding("trimap")),
        ("a,foreground=26001", "a", PixelEncoding("labels", foreground=(26001,))),
        ("a, foreground=1", "a", PixelEncoding("labels", foreground=(1,))),
    ],
)
def test_specs(text, path, values):
    assert parse_path_options(text) == (path, values)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a,values=soft", "values=soft .*use auto, grey, trimap or labels"),
        ("a,values=grey,void=3", "values=grey"),
        ("a,void=x", "integers from 0, as in void=255"),
        ("a,foreground=1+-3", "integers from 0, as in void=255"),
    ],
)
def test_invalid_specs(text, message):
    with pytest.raises(UserError, match=message):
        parse_path_options(text)


def iou(mask):
    cut = np.asarray(mask)[0] > 127
    return (cut & ROUND).sum() / (cut | ROUND).sum()


@pytest.mark.parametrize("level", [1, 128, 254, 255])
@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_artifacts_are_tolerated(tmp_path, level, quality, mode):
    path = tmp_path / "a.JPEG"
    Image.fromarray(ROUND.astype(np.uint8) * level).convert(mode).save(path, "JPEG", quality=quality)
    mask, remark = read_mask(path)
    assert set(mask.unique().tolist()) == {0, 255} and remark == ""
    assert iou(mask) > (0.85 if level == 1 else 0.98)


def coded(image, tmp_path, suffix="png", **more):
    path = tmp_path / f"a.{suffix}"
    image.save(path, **more)
    return read_mask(path)


def palette(numbers, colours):
    image = Image.fromarray(numbers.astype(np.uint8)).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([v for colour in colours for v in colour])
    return image


VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0)] + [(9, 9, 99)] * 252 + [(224, 224, 192)]


def test_palettes(tmp_path):
    voided = np.where(ROUND, 2, 0)
    voided[:5] = 255
    mask, remark = coded(palette(voided, VOC), tmp_path)
    assert iou(mask) == 1 and remark == "", "labels with void"
    assert iou(coded(palette(ROUND * 255, VOC), tmp_path)[0]) == 1, "0 and 255 alone are no label and void"
    assert iou(coded(palette(~ROUND * 1, [(255, 255, 255), (0, 0, 0)]), tmp_path)[0]) == 1, "0 may be white"
    assert iou(coded(palette(ROUND * 255, [(i, i, i) for i in range(256)]), tmp_path)[0]) == 1


def test_other_file_formats(tmp_path):
    grey = Image.fromarray((ROUND * 255).astype(np.uint8))
    cut = Image.new("RGB", grey.size, "red")
    cut.putalpha(grey)
    flat = np.where(ROUND[..., None], (0, 0, 200), (0, 0, 0)).astype(np.uint8)
    for image in (
        cut,
        grey.convert("1"),
        grey.convert("LA"),
        grey.convert("CMYK").convert("RGB"),
        Image.fromarray(flat),
    ):
        assert iou(coded(image, tmp_path)[0]) == 1, image.mode
    for top in (1, 255, 65535):
        assert iou(coded(Image.fromarray((ROUND * top).astype(np.uint16)), tmp_path)[0]) == 1, top
    assert iou(coded(Image.fromarray(ROUND.astype(np.float32)), tmp_path, "tif")[0]) == 1
    buffer = io.BytesIO()
    grey.save(buffer, "GIF")
    (tmp_path / "a.gif").write_bytes(buffer.getvalue())
    assert iou(read_mask(tmp_path / "a.gif")[0]) == 1


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_photograph_is_not_a_mask(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    with pytest.raises(UserError, match=rf"mask .*a\.{suffix} is a coloured image; masks are grey"):
        coded(Image.fromarray(noise), tmp_path, suffix)
