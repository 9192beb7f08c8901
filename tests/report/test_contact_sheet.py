"""Contact sheets contain images, outlines and fitting captions."""

import io

import numpy as np
from PIL import Image

from cliptune.report.contact_sheet import SIDE, SheetSection, Tile, contact_sheet_png
from cliptune.report.overlay import OUTLINE_COLOURS, draw_masks

RED = np.zeros((3, 40, 80), np.uint8)
RED[0] = 200
HALF = np.zeros((1, 40, 80), np.uint8)
HALF[..., :40] = 255


def opened(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_masks_are_outlined_and_the_background_is_dimmed():
    plain, seen = draw_masks(RED), draw_masks(RED, (HALF,), dim=True)
    assert plain.shape == seen.shape == (112, 224, 3)
    assert (seen[:, 5:100] == plain[:, 5:100]).all(), "foreground as it is"
    assert seen[50, 200].sum() < plain[50, 200].sum(), "background darker"
    two = draw_masks(RED, (HALF, np.swapaxes(HALF[..., ::2], 1, 2)), side=224)
    for colour in OUTLINE_COLOURS:
        assert (np.abs(two.astype(int) - colour).sum(-1) < 60).any()


def test_a_sheet_grows_with_its_sections():
    tile = Tile(RED, (), "a class", "a very long relative path that cannot fit/into/so/little/space/image.jpg")
    one = opened(contact_sheet_png("title", ["line"], [SheetSection("some", (tile,) * 5)], columns=6))
    two = opened(
        contact_sheet_png("title", ["line"], [SheetSection("some", (tile,) * 5), SheetSection("none", ())], columns=6)
    )
    more = opened(contact_sheet_png("title", ["line"], [SheetSection("some", (tile,) * 7)], columns=6))
    assert one.shape == two.shape and more.shape[0] > one.shape[0] + SIDE
    assert ((one == (200, 0, 0)).all(-1)).sum() > 4 * SIDE * (SIDE // 2)
    assert (one[:, :20] == 255).all() and (one[:, -20:] == 255).all(), "nothing is written over the margins"
