"""Downloads of masks that are interrupted or killed, and archives that change or are placed by hand."""

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


def test_the_authors_archive_of_seem_masks(site, mask_root, benchmark):
    flat = {f"masks/dtd/mask/{key}": white_square() for key in benchmark("dtd")}
    site.files["/seem"] = zipped(flat)
    options = DownloadOptions("seem", f"{site.url}/seem")
    assert download_masks("dtd", mask_root, options).record
    assert files_under(mask_root / "downloads") == ["masks-seem/seem.zip", "masks-seem/seem.zip.fetched"]
    module.finish(mask_root, options)
    assert not (mask_root / "downloads").exists()


def test_a_link_between_archives_and_images_on_another_disk_is_not_needed(dtd, mask_root):
    shutil.move(mask_root / "dtd", mask_root.parent / "elsewhere")
    (mask_root / "dtd").symlink_to(mask_root.parent / "elsewhere")
    assert download_masks("dtd", mask_root, dtd).record
    assert (mask_root.parent / "elsewhere" / "mask" / "downloaded.json").is_file()
