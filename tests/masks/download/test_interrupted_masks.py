"""Downloads of masks that are interrupted, killed, damaged, changed or placed by hand."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
from filelock import FileLock

from cliptune.data.public.download import DownloadOptions
from cliptune.errors import UserError
from cliptune.masks import download as module
from cliptune.masks.download import download_masks, staging
from cliptune.masks.download.hub_folder import FOLDER
from fake_mask_sites import FOREGROUND, TREE, archive_of, asked_files, white_square
from make_archives import tarred, zipped
from mini_public_datasets import miniature

pytestmark = miniature


@pytest.fixture
def dtd(mask_hub, benchmark):
    """Options for a server with masks of a miniature DTD, whose images are under the root."""
    return mask_hub("dtd.zip", archive_of("dtd", benchmark("dtd")))


def files_under(folder) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != ".lock")


def test_an_interrupted_download_is_resumed_by_the_next_call(dtd, site, mask_root):
    site.cuts = [10**9, 10**9, 2000, *[0] * 9]
    with pytest.raises(UserError, match=r"ended after 2,000 of .*; 2\.0 kB are kept, .*; use --mirror URL for another"):
        download_masks("dtd", mask_root, dtd)
    assert not (mask_root / "dtd" / "mask").exists()
    site.cuts.clear()
    assert download_masks("dtd", mask_root, dtd).record
    assert site.asked[-1][2] == "bytes=2000-"
    assert not (mask_root / "downloads").exists()


@pytest.mark.parametrize(
    ("place", "step"),
    [(staging, "unpack"), (staging, "merge"), (staging, "check_sample"), (staging, "write_record"), (module, "move")],
)
def test_a_killed_run_is_resumed_without_another_download(dtd, site, mask_root, monkeypatch, mask_hub, place, step):
    mask_hub("dtd_mask.tar", tarred({FOREGROUND["dtd"] + "banded/more.jpg": white_square()}, "w"))

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(place, step, stop)
        download_masks("dtd", mask_root, dtd)
    assert not (mask_root / "dtd" / "mask").exists()
    assert download_masks("dtd", mask_root, dtd).record
    assert sorted(asked_files(site)) == ["dtd.zip", "dtd_mask.tar"]
    assert not (mask_root / "downloads").exists()
    assert len(files_under(mask_root / "dtd" / "mask")) == 28 + 1


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_unpacks(dtd, mask_root):
    code = f"""
        import os, signal, warnings
        from pathlib import Path
        from cliptune.data.public.download import DownloadOptions, archives
        from cliptune.masks.download import download_masks

        warnings.simplefilter("ignore")
        real, left = archives._write, [5]

        def write(*arguments):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*arguments)

        archives._write = write
        download_masks("dtd", Path({str(mask_root)!r}), DownloadOptions("foreground", {dtd.mirror!r}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=100)
    assert done.returncode == -signal.SIGKILL
    assert not (mask_root / "dtd" / "mask").exists()
    assert download_masks("dtd", mask_root, dtd).record
    assert len(files_under(mask_root / "dtd" / "mask")) == 28 + 1 and not (mask_root / "downloads").exists()


def test_concurrent_downloads(dtd, mask_root):
    folder = mask_root / "downloads" / "masks-foreground"
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(UserError, match="another process is downloading into"):
        download_masks("dtd", mask_root, dtd)


def test_another_disk(dtd, mask_root, monkeypatch):
    real = os.rename

    def rename(source, target):
        if str(source).endswith("dtd.masks"):
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    leftover = mask_root / "dtd" / ".mask.copying"
    leftover.mkdir()
    (leftover / "half.jpg").write_bytes(b"?")
    assert download_masks("dtd", mask_root, dtd).record
    assert len(files_under(mask_root / "dtd" / "mask")) == 28 + 1
    assert not leftover.exists() and not (mask_root / "downloads").exists()


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


def test_an_archive_that_changed_on_the_hub_is_downloaded_again(mask_hub, site, mask_root, benchmark, monkeypatch):
    keys = benchmark("dtd")
    options = mask_hub("dtd.zip", archive_of("dtd", keys[:3]))

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(staging, "check_sample", stop)
        download_masks("dtd", mask_root, options)
    listed = mask_hub("dtd.zip", archive_of("dtd", keys))
    tree = f"{TREE}/{FOLDER}"
    site.files[tree] = json.dumps(json.loads(site.files[tree])[1:]).encode()
    assert download_masks("dtd", mask_root, listed).record
    assert asked_files(site) == ["dtd.zip", "dtd.zip"]
    assert not (mask_root / "downloads").exists()


@pytest.mark.parametrize("source", ["foreground", "seem"])
@pytest.mark.parametrize("file", ["DTD masks.zip", "everything.tar.gz"])
def test_an_archive_placed_by_hand_is_used_and_kept(mask_root, benchmark, source, file):
    files = {FOREGROUND["dtd"] + key: white_square() for key in benchmark("dtd")}
    folder = mask_root / "downloads" / f"masks-{source}"
    folder.mkdir(parents=True)
    (folder / file).write_bytes(zipped(files) if file.endswith("zip") else tarred(files))
    placed = download_masks("dtd", mask_root, DownloadOptions(source, "http://127.0.0.1:9"))
    assert placed.record and placed.record.archives == {file: ""} and placed.record.source == source
    assert files_under(mask_root / "downloads") == [f"masks-{source}/{file}"]


def test_an_archive_placed_next_to_its_partial_download_is_kept(dtd, site, mask_root):
    site.cuts = [10**9, 10**9, 2000, *[0] * 9]
    with pytest.raises(UserError, match="2,000 of"):
        download_masks("dtd", mask_root, dtd)
    folder = mask_root / "downloads" / "masks-foreground"
    (folder / "dtd.zip").write_bytes(next(x for path, x in site.files.items() if path.endswith("dtd.zip")))
    assert download_masks("dtd", mask_root, dtd).record
    module.finish(mask_root, dtd)
    assert "dtd.zip" in files_under(folder)


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


def test_the_authors_archive_of_seem_masks(site, mask_root, benchmark):
    flat = {f"masks/dtd/mask/{key}": white_square() for key in benchmark("dtd")}
    site.files["/seem"] = zipped(flat)
    options = DownloadOptions("seem", f"{site.url}/seem")
    assert download_masks("dtd", mask_root, options).record
    assert files_under(mask_root / "downloads") == ["masks-seem/seem.zip", "masks-seem/seem.zip.fetched"]
    module.finish(mask_root, options)
    assert not (mask_root / "downloads").exists()


def test_a_drive_that_answers_with_a_web_page(site, mask_root, benchmark):
    benchmark("dtd")
    site.files["/seem"], site.kind = b"<html>too many users", "text/html"
    with pytest.raises(UserError, match=r"web page .* download https://drive\.google\.com/.* in a browser, put"):
        download_masks("dtd", mask_root, DownloadOptions("seem", f"{site.url}/seem"))


def test_a_link_between_archives_and_images_on_another_disk_is_not_needed(dtd, mask_root):
    shutil.move(mask_root / "dtd", mask_root.parent / "elsewhere")
    (mask_root / "dtd").symlink_to(mask_root.parent / "elsewhere")
    assert download_masks("dtd", mask_root, dtd).record
    assert (mask_root.parent / "elsewhere" / "mask" / "downloaded.json").is_file()
