"""Image files that cannot be read, or are something else, are named in one sentence."""

import io
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from cliptune.data import image_io, read_errors
from cliptune.data.image_files import ImageFiles
from cliptune.data.image_io import IMAGE_SUFFIXES, find_fault, read_image, read_image_bytes
from cliptune.errors import UserError
from noise_images import colour_tensor

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "photos" / "imagenet_sample"
RAMP = np.linspace(0, 255, 12 * 10).astype(np.uint8).reshape(10, 12)
RGB = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)


def test_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(read_errors, "MAX_PIXELS", 10_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    colour_tensor().resize((120, 100)).save(tmp_path / "huge.png")
    with pytest.raises(
        UserError, match="huge.png cannot be read: it has 0.012 million pixels, more than the 0.01 mill"
    ):
        read_image(tmp_path / "huge.png")
    colour_tensor().resize((90, 90)).save(tmp_path / "large.png")
    assert read_image(tmp_path / "large.png").image.shape == (3, 90, 90), "though Pillow would refuse it"
    assert Image.MAX_IMAGE_PIXELS == 1_000, "and is as it was"


def test_a_bomb(tmp_path):
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x"))
    for look in (read_image, lambda path: _raise(find_fault(path))):
        with pytest.raises(
            UserError, match="has 3600 million pixels, more than the 250 million that are read .save it smaller"
        ):
            look(tmp_path / "bomb.png")


def _raise(why):
    raise UserError(why)


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may read everything")
def test_no_permission(tmp_path):
    colour_tensor().save(tmp_path / "cat.png")
    (tmp_path / "cat.png").chmod(0)
    assert find_fault(tmp_path / "cat.png") == "is protected (permission denied)"


def test_links(tmp_path):
    colour_tensor().save(tmp_path / "cat.png")
    (tmp_path / "link.png").symlink_to("cat.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "lost.png").symlink_to("nowhere.png")
    assert read_image(tmp_path / "link.png").image.equal(pil_to_tensor(colour_tensor()))
    for name, why in (("loop", "is a link that leads in circles"), ("lost", "does not exist")):
        assert find_fault(tmp_path / f"{name}.png") == why
        with pytest.raises(UserError, match=f"{name}.png cannot be read: it {why}; remove or replace it"):
            read_image(tmp_path / f"{name}.png")


def encoded(suffix) -> bytes:
    file = io.BytesIO()
    colour_tensor().resize((60, 50)).save(file, {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper()))
    return file.getvalue()


@pytest.mark.filterwarnings("ignore")  # Pillow warns of odd metadata
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".gif", ".tif"])
def test_a_broken_file_is_named(tmp_path, suffix):
    path, whole = tmp_path / f"cat{suffix}", encoded(suffix)
    for content in (b"", b"not an image", whole[: len(whole) // 2], whole[:20]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"^image {path} cannot be read: it is .*; remove or replace it$"):
            read_image(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".gif", ".tif"])
def test_damage_anywhere_gives_an_image_or_a_sentence(tmp_path, suffix):
    path, whole, rng = tmp_path / f"cat{suffix}", encoded(suffix), random.Random(1)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 3, 10])):
            damaged[rng.randrange(min(len(damaged), rng.choice([64, 400, 10**6])))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            assert read_image(path).image.shape[0] == 3
        except UserError as error:
            assert str(path) in str(error)


def test_reading_does_not_suppress_other_warnings():
    with pytest.warns(UserWarning, match="no room"), image_io.lenient_pillow():
        warnings.warn("no room", stacklevel=1)


@pytest.mark.parametrize(
    "content, why",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer, not an image"),
        (b"/annex/objects/SHA256E-s9--0.jpg\n", "is a git-annex pointer, not an image"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page, not an image"),
    ],
)
def test_other_content_in_place_of_an_image_is_named(tmp_path, content, why):
    path = tmp_path / "cat.jpg"
    path.write_bytes(content)
    assert find_fault(path).startswith(why)
    for read in (lambda: read_image(path), lambda: read_image_bytes(content, "cat.jpg of data")):
        with pytest.raises(UserError, match=f"cat.jpg.* cannot be read: it {why}"):
            read()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipes_and_devices_are_refused_without_waiting(tmp_path):
    pipe = tmp_path / "cat.jpg"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        assert find_fault(path) == "is a pipe or a device, not a file"
        with pytest.raises(UserError, match=f"{path} cannot be read: it is a pipe or a device"):
            read_image(path)
        assert ImageFiles(cached=False).digest(path) == b""


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason='pillow-heif is not installed: pip install "cliptune[heic]"')
    heif.from_pillow(colour_tensor().resize((64, 48))).save(tmp_path / "cat.heic", quality=95)
    for name in ("cat.heic", "cat.jpg"):
        (tmp_path / name).write_bytes((tmp_path / "cat.heic").read_bytes())
        assert ".heic" in IMAGE_SUFFIXES and find_fault(tmp_path / name) == ""
        image = read_image(tmp_path / name)
        assert image.image.shape == (3, 48, 64)
        assert (image.image.float() - pil_to_tensor(colour_tensor().resize((64, 48))).float()).abs().mean() < 6


def test_heic_without_its_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(image_io, "find_spec", lambda name: None)
    (tmp_path / "cat.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    assert find_fault(tmp_path / "cat.jpg").startswith("is a HEIC image, which needs another package (pip install")
