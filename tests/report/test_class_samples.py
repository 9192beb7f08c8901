"""Pages of samples."""

import io

import numpy as np
import pytest
from PIL import Image

from cliptune.report.class_samples import HEIGHT, ClassSamples, class_samples_png
from cliptune.report.contact_sheet import draw_text


def page(*blocks):
    with Image.open(io.BytesIO(class_samples_png("title", ["line"], blocks))) as image:
        return np.asarray(image).astype(int)


def plain(height, width, colour=(200, 30, 30)):
    return np.broadcast_to(np.array(colour, np.uint8)[:, None, None], (3, height, width)).copy()


def box(where):
    """Top, left, bottom, right of pixels, the last two beyond."""
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (64, 64), (40, 400), (400, 40)])
def test_an_image_keeps_its_aspect(shape):
    found = page(ClassSamples("a", "1", ((plain(*shape), None), (plain(300, 400, (10, 10, 200)), None))))
    top, left, bottom, right = box((found == (200, 30, 30)).all(2))
    height, width = bottom - top, right - left
    assert width / height == pytest.approx(shape[1] / shape[0], rel=0.05)
    assert height <= HEIGHT


def test_long_names_stay_within_their_block():
    blocks = [ClassSamples("word " * 30 + str(i), "12", ((plain(64, 64), None),)) for i in range(4)]
    blocks.append(ClassSamples("n" * 200, "12", ((plain(64, 64), None),)))
    found = page(*blocks)
    red = (found == (200, 30, 30)).all(2)
    starts = np.flatnonzero(np.diff(red.any(0).astype(int), prepend=0) == 1)
    ink = (found.max(2) < 100)[80:]
    for start in starts[1:]:  # between blocks nothing is written
        assert not ink[:, start - 20 : start - 1].any()


def test_a_long_line_is_shortened_in_the_middle():
    from PIL import ImageDraw

    image = Image.new("L", (400, 30), 255)
    draw_text(ImageDraw.Draw(image), (0, 0), "begin " + "x" * 500 + " end", 14, 200)
    assert (np.asarray(image)[:, 202:] == 255).all() and (np.asarray(image)[:, 150:200] < 128).any()


def test_a_mask_dims_the_rest():
    image, mask = plain(100, 100), np.zeros((1, 100, 100), np.uint8)
    mask[:, 25:75, 25:75] = 255

    def bright(mask):
        return (abs(page(ClassSamples("a", "1", ((image, mask),))) - (200, 30, 30)).max(2) < 12).sum() / HEIGHT**2

    assert bright(None) > 0.99 and 0.15 < bright(mask) < 0.3
