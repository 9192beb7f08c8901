"""Images of more than eight bits: the value range is determined, and a note is given if it is a guess."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune.data.image_io import find_fault, from_pil, read_image
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.errors import UserError

RAMP = np.linspace(0, 255, 12 * 10).astype(np.uint8).reshape(10, 12)
RGB = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)


def grey(image) -> np.ndarray:
    assert image.image.shape[0] == 3 and image.image[0].equal(image.image[2]) and image.mask is None
    return image.image[0].numpy()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_full_sixteen_bits_give_no_note(tmp_path, suffix):
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / f"scan{suffix}")
    assert np.array_equal(grey(read_image(tmp_path / f"scan{suffix}")), RAMP)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jp2", ".pgm"])
def test_fewer_bits_in_sixteen(tmp_path, bits, suffix):
    path = tmp_path / f"scan{suffix}"
    options = {"irreversible": False} if suffix == ".jp2" else {}
    scan = Image.fromarray(RAMP.astype(np.uint16) << bits - 8)
    (scan.convert("I") if suffix == ".pgm" else scan).save(path, **options)
    with pytest.warns(UserWarning, match=rf"^image {path}: 16-bit values are read as {bits} bits, as none is above "):
        assert np.array_equal(grey(read_image(path)), RAMP)


def test_a_declared_depth_is_used(tmp_path):
    (tmp_path / "dark.pgm").write_bytes(b"P5 3 1 4095\n" + np.array([0, 256, 1024], ">u2").tobytes())
    assert grey(read_image(tmp_path / "dark.pgm"))[0].tolist() == [0, 16, 64]


@pytest.mark.parametrize("bits, message", [(8, 8), (12, 12), (16, 16), (24, 24)])
def test_integers_of_32_bits(tmp_path, bits, message):
    Image.fromarray(RAMP.astype(np.int32) << bits - 8).save(tmp_path / "scan.tif")
    with pytest.warns(UserWarning, match=f"32-bit values are read as {message} bits"):
        assert np.array_equal(grey(read_image(tmp_path / "scan.tif")), RAMP)


def tiff(path, values: np.ndarray, bits: int, kind: int, photometric: int = 1):
    """A grey TIFF as no version of Pillow writes it: kind 1 is unsigned, 2 signed; photometric 0 has white at zero."""
    entries = [
        (256, 4, values.shape[1]), (257, 4, values.shape[0]), (258, 3, bits), (259, 3, 1), (262, 3, photometric),
        (273, 4, 8), (277, 3, 1), (278, 4, values.shape[0]), (279, 4, values.nbytes), (339, 3, kind),
    ]  # fmt: skip
    head = b"II*\0" + (8 + values.nbytes).to_bytes(4, "little") + values.tobytes()
    fields = [b"".join(n.to_bytes(w, "little") for n, w in ((tag, 2), (t, 2), (1, 4), (v, 4))) for tag, t, v in entries]
    path.write_bytes(head + len(entries).to_bytes(2, "little") + b"".join(fields) + bytes(4))
    return path


def test_unsigned_integers_of_32_bits(tmp_path):
    path = tiff(tmp_path / "scan.tif", RAMP.astype("<u4") << 24, 32, 1)
    assert np.array_equal(grey(read_image(path)), RAMP)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_signed_integers_are_stretched(tmp_path, bits):
    path = tiff(tmp_path / "ct.tif", (RAMP.astype(np.int32) - 128).astype(f"<i{bits // 8}"), bits, 2)
    with pytest.warns(UserWarning, match=f"signed {bits}-bit values are stretched over the range of each image"):
        assert np.array_equal(grey(read_image(path)), RAMP)


def test_white_at_zero(tmp_path):
    path = tiff(tmp_path / "xray.tif", RAMP.astype("<u2") * 257, 16, 1, photometric=0)
    assert np.array_equal(grey(read_image(path)), 255 - RAMP)


@pytest.mark.parametrize(
    "values, message",
    [
        (RAMP / 255, "read as 0 to 1"),
        (RAMP / 127.5 - 1, "read as -1 to 1"),
        (RAMP + 0.25, "read as 0 to 255"),
        (RAMP * 257.0, "read as 0 to 65535"),
        (RAMP * 1e6, "stretched over the range of each image"),
        (RAMP * 3.0 - 300, "stretched over the range of each image"),
    ],
)
def test_floating_point_numbers(tmp_path, values, message):
    Image.fromarray(values.clip(max=255).astype(np.float32) if "255" in message else values.astype(np.float32)).save(
        tmp_path / "scan.tif"
    )
    with pytest.warns(UserWarning, match=f"image .*scan.tif: floating-point values are {message}"):
        assert np.abs(grey(read_image(tmp_path / "scan.tif")).astype(int) - RAMP).max() <= 1


def test_values_that_are_not_finite(tmp_path):
    values = (RAMP / 255).astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "scan.tif")
    with pytest.warns(UserWarning, match="values are read as 0 to 1; values that are not finite are black"):
        read = grey(read_image(tmp_path / "scan.tif"))
    assert not read[0, :3].any() and np.array_equal(read[1:], RAMP[1:])
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "none.tif")
    assert find_fault(tmp_path / "none.tif") == "contains no finite value"
    with pytest.raises(UserError, match="none.tif cannot be read: it contains no finite value; remove"):
        read_image(tmp_path / "none.tif")


@pytest.mark.parametrize("kind, level", [(np.uint16, 0), (np.int32, 0), (np.float32, 0), (np.float32, -3)])
def test_even_images(kind, level):
    with warnings.catch_warnings(record=True) as error:
        warnings.simplefilter("always")
        image = from_pil(Image.fromarray(np.full((4, 4), level, kind)))
    assert image.image.unique().tolist() == [127 if level else 0] and len(error) == (1 if level else 0)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_colours_of_sixteen_bits(tmp_path, bits, compression):
    values = RGB.astype(np.uint16) << bits - 8
    for name, write in (("scan.png", png), ("scan.tif", lambda path, values: colour_tiff(path, values, compression))):
        write(tmp_path / name, values)
        with warnings.catch_warnings(record=True) as error:
            warnings.simplefilter("always")
            assert np.array_equal(read_image(tmp_path / name).image.permute(1, 2, 0).numpy(), RGB)
        assert [str(w.message).partition(": ")[2] for w in error] == (
            [] if bits == 16 else [f"16-bit values are read as {bits} bits, as none is above {2**bits - 1:,}"]
        )


def png(path, values: np.ndarray):
    """A PNG of 16 bits a channel, which Pillow does not write."""
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks))


def colour_tiff(path, values: np.ndarray, compression: str | None):
    from PIL import TiffImagePlugin

    # Pillow writes no 16-bit colours: a grey TIFF of three times the width is relabelled.
    assert compression in (None, "tiff_lzw")
    content = values.astype("<u2").tobytes()
    height, width, _ = values.shape
    offset = 8 + 6
    strip = offset
    if compression:
        wide = Image.frombytes("L", (width * 6, height), content)
        import io

        buffer = io.BytesIO()
        wide.save(buffer, "TIFF", compression=compression)
        with TiffImagePlugin.TiffImageFile(io.BytesIO(buffer.getvalue())) as packed:
            (start,), (length,) = packed.tag_v2[273], packed.tag_v2[279]
        content = buffer.getvalue()[start : start + length]
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8), (259, 3, 1, 5 if compression else 1), (262, 3, 1, 2),
        (273, 4, 1, strip), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(content)),
    ]  # fmt: skip
    fields = b"".join(
        b"".join(n.to_bytes(w, "little") for n, w in ((tag, 2), (kind, 2), (count, 4), (value, 4)))
        for tag, kind, count, value in entries
    )
    head = b"II*\0" + (offset + len(content)).to_bytes(4, "little") + b"\x10\0" * 3
    path.write_bytes(head + content + len(entries).to_bytes(2, "little") + fields + bytes(4))


def test_transparent_colours_of_sixteen_bits(tmp_path):
    values = np.concatenate([RGB.astype(np.uint16) << 4, np.full((10, 12, 1), 65535, np.uint16)], -1)
    values[0, :, 3] = 0
    png(tmp_path / "scan.png", values)
    with pytest.warns(UserWarning, match="read as 12 bits"):
        image = read_image(tmp_path / "scan.png")
    assert image.mask is not None and not image.mask[0, 0].any() and image.mask[0, 1:].min() == 255
    assert image.image[:, 0].unique().tolist() == [255]
    assert np.array_equal(image.image[:, 1:].permute(1, 2, 0).numpy(), RGB[1:])


def test_a_transparent_level_of_sixteen_bits(tmp_path):
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / "scan.png", transparency=0)
    image = read_image(tmp_path / "scan.png")
    assert image.mask is not None and (image.mask[0] == 0).equal(torch.from_numpy(RAMP == 0))


def test_colours_reduced_to_eight_bits_are_reported(tmp_path):
    png(tmp_path / "scan.png", np.stack([RAMP.astype(np.uint16), np.full((10, 12), 65535, np.uint16)], -1))
    with pytest.warns(UserWarning, match="16-bit colours stay dark"):
        read_image(tmp_path / "scan.png")


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_images_are_rotated_once(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    scan = Image.fromarray(RAMP.astype(np.uint16) * 257)
    scan.save(tmp_path / f"scan{suffix}", exif=exif)
    expected = scan.transpose(Image.Transpose.ROTATE_180 if orientation == 3 else Image.Transpose.ROTATE_270)
    assert np.array_equal(grey(read_image(tmp_path / f"scan{suffix}")), np.asarray(expected) >> 8)


def test_assumptions_can_be_collected():
    with collect_assumed_ranges() as found:
        from_pil(Image.fromarray(RAMP.astype(np.uint16)))
    assert found == [("of 12 x 10 pixels", "16-bit values are read as 8 bits, as none is above 255")]
