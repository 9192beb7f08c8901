"""Archives and masks that are refused: damaged, of other images, or without foreground."""

import pytest

from cliptune.data.public.download import DownloadOptions
from cliptune.errors import UserError
from cliptune.masks.download import download_masks
from fake_mask_sites import FOREGROUND, archive_of, white_square
from make_archives import zipped
from mini_public_datasets import miniature

pytestmark = miniature


def test_a_wrong_digest(mask_hub, mask_root, benchmark):
    options = mask_hub("dtd.zip", archive_of("dtd", benchmark("dtd")), sha256="0" * 64)
    with pytest.raises(UserError, match=r"dtd\.zip has sha256 .*, expected 0{64}; it was removed; use --mirror"):
        download_masks("dtd", mask_root, options)
    assert not (mask_root / "dtd" / "mask").exists()
    assert not (mask_root / "downloads").exists()


def test_a_size_without_a_digest(mask_hub, mask_root, benchmark):
    content = archive_of("dtd", benchmark("dtd"))
    options = mask_hub("dtd.zip", content, lfs=False, size=len(content) + 9)
    with pytest.raises(UserError, match=r"dtd\.zip has .* kB, expected .* kB; it was removed"):
        download_masks("dtd", mask_root, options)
    mask_hub("caltech-101.zip", b"?")
    options = mask_hub("dtd-masks.zip", content, lfs=False)
    # Both archives are named after the dataset, and the first is still wrong.
    with pytest.raises(UserError, match="expected"):
        download_masks("dtd", mask_root, options)


def test_a_damaged_archive(mask_hub, mask_root, benchmark):
    benchmark("dtd")
    with pytest.raises(UserError, match=r"dtd\.zip is damaged or not an archive .*; it was renamed to .*\.damaged"):
        download_masks("dtd", mask_root, mask_hub("dtd.zip", b"not an archive"))
    assert not (mask_root / "dtd" / "mask").exists()


def test_an_archive_without_masks_of_the_images(mask_hub, mask_root, benchmark):
    benchmark("dtd")
    options = mask_hub("dtd.zip", zipped({"dtd/mask/striped/x.jpg": white_square(), "dtd/mask/y.txt": b"?"}))
    with pytest.raises(UserError, match=r"no mask in .*dtd\.zip has the path of an image of dtd, .*/x\.jpg; unpack"):
        download_masks("dtd", mask_root, options)
    assert not (mask_root / "dtd" / "mask").exists()


def test_two_masks_of_one_image(mask_hub, mask_root, benchmark):
    keys = benchmark("dtd")
    files = {f"{folder}/{keys[0]}": white_square() for folder in ("mask", "mask2")}
    with pytest.raises(UserError, match=f"two masks for {keys[0]}, mask/{keys[0]} and mask2/.*; unpack the right"):
        download_masks("dtd", mask_root, mask_hub("dtd.zip", zipped(files)))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            white_square(box=(0, 0, 64, 64)),
            "not put into place: in a sample, none of the 12 masks has any background",
        ),
        (
            white_square(box=(0, 0, 0, 0)),
            "not put into place: in a sample, none of the 12 masks has any foreground",
        ),
        (b"not an image", "12 of 12 sampled masks cannot be used; the first: .* cannot be read as an image"),
    ],
)
def test_masks_that_cannot_be_used_are_not_placed(mask_hub, mask_root, benchmark, mask, message):
    options = mask_hub("dtd.zip", zipped({FOREGROUND["dtd"] + key: mask for key in benchmark("dtd")}))
    with pytest.raises(UserError, match=message):
        download_masks("dtd", mask_root, options)
    assert not (mask_root / "dtd" / "mask").exists()
    assert not any(path.is_dir() for path in (mask_root / "downloads" / "masks-foreground").iterdir())


def test_some_masks_that_cannot_be_used_are_counted(mask_hub, mask_root, benchmark):
    keys = benchmark("dtd")
    masks = dict.fromkeys(keys, white_square())
    masks[keys[0]] = b"not an image"
    masks[keys[1]] = white_square(box=(0, 0, 0, 0))
    files = {FOREGROUND["dtd"] + key: mask for key, mask in masks.items()}
    placed = download_masks("dtd", mask_root, mask_hub("dtd.zip", zipped(files)))
    first, second = placed.remarks
    assert first.startswith("1 of 12 sampled masks cannot be used; the first: mask ")
    assert second == "1 of 11 sampled masks are without foreground"


def test_a_drive_that_answers_with_a_web_page(site, mask_root, benchmark):
    benchmark("dtd")
    site.files["/seem"], site.kind = b"<html>too many users", "text/html"
    with pytest.raises(UserError, match=r"web page .* download https://drive\.google\.com/.* in a browser, put"):
        download_masks("dtd", mask_root, DownloadOptions("seem", f"{site.url}/seem"))
