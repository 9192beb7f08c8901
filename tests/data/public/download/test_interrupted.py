"""Downloads that are interrupted, killed, corrupt, placed by hand or concurrent."""

import dataclasses
import hashlib
import os

import pytest

import mini_public_datasets
from cliptune.data.public import download as module
from cliptune.data.public.common.spec import find_split
from cliptune.data.public.download import DownloadOptions, download
from cliptune.data.public.download.transfer import NotAvailable
from cliptune.errors import UserError
from fake_download_sites import CARDS, assert_complete, change_recipe
from make_archives import zipped


def test_an_interrupted_download_is_resumed_by_the_next_call(original, site, root):
    order = original("dtd")
    site.cuts = [10**9, 500, *[0] * 9]
    with pytest.raises(NotAvailable, match=r"ended after 500 of .*--from archive uses the collection, --mirror URL"):
        download("dtd", root, order)
    assert not (root / "dtd" / "images").exists()
    assert os.listdir(root / "downloads" / "dtd") != []
    site.cuts.clear()
    assert download("dtd", root, order)[0].status == "ready"
    assert site.asked[-1][2] == "bytes=500-"
    assert_complete("dtd", root)


@pytest.mark.parametrize("step", ["unpack", "merge"])
def test_a_killed_run_is_resumed_without_the_network(dtd, site, root, monkeypatch, step):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, step, stop)
        download("dtd", root, dtd)
    assert not (root / "dtd").exists()
    asked = len(site.asked)
    report, remarks = download("dtd", root, dtd)
    assert report.status == "ready" and len(site.asked) == asked
    assert remarks == []
    assert_complete("dtd", root)


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_run_killed_between_two_folders_is_resumed(original, root, monkeypatch, done):
    order, real, left = original("oxford_pets"), module.merge, [done + 1]  # the split is the first to be moved

    def stop(*args, **more):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*args, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "merge", stop)
        patch.setattr(module, "_clean_up", stop)
        download("oxford_pets", root, order)
    assert download("oxford_pets", root, order)[0].status == "ready"
    assert_complete("oxford_pets", root)


def test_archives_are_kept_on_request(dtd, root):
    _, remarks = download("dtd", root, dataclasses.replace(dtd, keep=True))
    assert remarks == [f"dtd.zip stays in {root / 'downloads' / 'dtd'}"]
    assert os.listdir(root / "downloads" / "dtd") in (["dtd.zip"], ["dtd.zip", ".lock"], [".lock", "dtd.zip"])


def test_an_archive_placed_by_hand_is_used_and_kept(original, site, root):
    order = original("dtd")
    folder = root / "downloads" / "dtd"
    folder.mkdir(parents=True)
    (folder / "dtd-r1.0.1.tar.gz").write_bytes(site.files.pop("/dtd-r1.0.1.tar.gz"))
    assert download("dtd", root, order)[0].status == "ready"
    assert (folder / "dtd-r1.0.1.tar.gz").is_file()


def test_a_wrong_digest_leaves_nothing(original, site, root, monkeypatch):
    order = original("dtd")
    recipe = CARDS["dtd"].recipe
    wrong = dataclasses.replace(recipe.remote_files[0], digest="md5:0")
    change_recipe(monkeypatch, "dtd", remote_files=(wrong,))
    came = hashlib.md5(site.files["/dtd-r1.0.1.tar.gz"]).hexdigest()
    with pytest.raises(NotAvailable, match=f"has md5 {came}, expected 0; it was removed; --from archive"):
        download("dtd", root, order)
    assert sorted(p.name for p in root.rglob("*") if p.is_file()) == [CARDS["dtd"].split_file]


def test_a_split_other_than_the_published_one(original, root, monkeypatch):
    order = original("dtd")
    monkeypatch.setattr(module, "short_sha256", lambda content: "0" * 12)
    with pytest.raises(UserError, match="is not; .*a sha256 that begins with 0{12}, not f26ebeccd2b5"):
        download("dtd", root, order)
    assert find_split(CARDS["dtd"], root) is None


def test_an_invalid_split(original, site, root):
    order = original("dtd")
    site.files[f"/{CARDS['dtd'].split_file}"] = b"{}"
    with pytest.raises(UserError, match="is not a split file"):
        download("dtd", root, order)
    assert not list(root.iterdir())


def test_an_archive_without_the_dataset(hub, root):
    site = hub("dtd.zip", zipped({"textures/x.jpg": b"?"}))
    with pytest.raises(UserError, match=r"has no folder images, but textures, in .*: move it to .* by hand"):
        download("dtd", root, DownloadOptions("archive", site.url))
    assert not (root / "dtd").exists()


def test_an_unexpected_archive_placed_by_hand(original, root):
    order = original("caltech101")
    folder = root / "downloads" / "caltech101"
    folder.mkdir(parents=True)
    (folder / "caltech-101.zip").write_bytes(zipped({"other/x.jpg": b"?"}))
    with pytest.raises(UserError, match=r"has no folder 101_ObjectCategories, but other, in"):
        download("caltech101", root, order)
    assert (folder / "caltech-101.zip").is_file()


def test_an_archive_with_missing_images(hub, made, root):
    files = made("dtd")
    gone = next(path for path in files if path.endswith(".jpg"))
    site = hub("dtd.zip", zipped({path: x for path, x in files.items() if path != gone}))
    with pytest.raises(UserError, match=f"only 27 of 28 images are there, not {gone.removeprefix('images/')}; use"):
        download("dtd", root, DownloadOptions("archive", site.url))


def test_a_dataset_in_another_folder_is_not_downloaded_again(root, site):
    mini_public_datasets.write_dataset(CARDS["dtd"], root)
    (root / "dtd" / "images").rename(root / "dtd" / "Images")
    with pytest.raises(UserError, match="DescribableTextures is there, but .*mv .*"):
        download("dtd", root, DownloadOptions("archive", site.url))
    assert site.asked == []


def test_concurrent_downloads(dtd, root):
    from filelock import FileLock

    (root / "downloads" / "dtd").mkdir(parents=True)
    with (
        FileLock(root / "downloads" / "dtd" / ".lock"),
        pytest.raises(UserError, match="another process"),
    ):
        download("dtd", root, dtd)


@pytest.mark.parametrize("name", ["imagenet", "stanford_cars", "ucf101"])
def test_datasets_to_download_by_hand(root, name):
    with pytest.raises(UserError, match=str(root / CARDS[name].home)):
        download(name, root, DownloadOptions("original"))
    assert not list(root.iterdir())


def test_a_root_that_cannot_be_written(dtd, root):
    (root / "downloads").write_text("a file")
    with pytest.raises(UserError, match="cannot write .*downloads/dtd: .*; choose another folder with --root"):
        download("dtd", root, dtd)
