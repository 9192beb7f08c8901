"""Cached images equal decoded ones; a damaged, full or missing cache only costs time."""

import errno
import os
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cliptune.backbones.preprocess import Preprocess
from cliptune.data import disk_cache, image_io
from cliptune.data.config import DataConfig
from cliptune.data.custom.folder import Folder
from cliptune.data.items import workers_for
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import RandomCropFlip
from cliptune.files import CACHE_VARIABLE
from cliptune.masks.from_dataset import DataMasks
from tiny_tasks import drawings, task

CPU = torch.device("cpu")
PREPROCESS = Preprocess((32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


@pytest.fixture
def folder(tmp_path):
    """Two classes of six images of different sizes, some transparent."""
    rng = np.random.default_rng(0)
    for i in range(12):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40 + i, 60 - i, 4 if i % 3 == 0 else 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


def examples(folder, augment=True, use=True, **more):
    data = Folder(folder)
    data.reading = DataConfig(cache=use)
    chosen = [e for part in ("train", "val", "test") for e in data.examples(part)]
    return ExampleSet(data, chosen, PREPROCESS, augment=RandomCropFlip(32) if augment else None, seed=1, **more)


def digest(example_set, workers=0):
    processes = workers_for(workers, CPU)
    trained = list(example_set.epoch_batches(1, 4, CPU, workers=processes)) if example_set.augment else []
    return [b.images for b in (*trained, *example_set.in_order(5, CPU, workers=processes))]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def entries(store):
    return sorted(p for p in store.folder.glob("?/*"))


@pytest.mark.parametrize("mask", [True, False])
def test_get_returns_what_was_put(store, mask, make_image):
    assert store.get(b"k" * 32) is None
    assert store.put(b"k" * 32, make_image(mask=mask)) is True
    for got in (store.get(b"k" * 32), disk_cache.DiskCache(store.folder).get(b"k" * 32)):
        assert got.image.equal(make_image().image)
        assert got.mask.equal(make_image().mask) if mask else got.mask is None


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("augment", [True, False])
def test_results_do_not_depend_on_the_cache_or_workers(store, folder, augment):
    plain = digest(examples(folder, augment, use=False))
    assert not entries(store), "--no-cache stores nothing"
    assert same(digest(examples(folder, augment)), plain) and len(entries(store)) == 12
    assert same(digest(examples(folder, augment)), plain), "from the cache"
    for use in (True, False):
        assert same(digest(examples(folder, augment, use=use), workers=2), plain)
    assert len(entries(store)) == 12


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_fill_the_cache(store, folder):
    plain = digest(examples(folder, False, use=False))
    assert same(digest(examples(folder, False, keep=False), workers=2), plain) and len(entries(store)) == 12


def test_a_file_is_decoded_once(store, folder, monkeypatch):
    read, original = [], image_io.decode
    monkeypatch.setattr(image_io, "decode", lambda file: (read.append(file), original(file))[1])
    for _ in range(3):
        digest(examples(folder))
    assert len(read) == 12
    digest(examples(folder, augment=False))
    digest(examples(folder, augment=False))
    assert len(read) == 24, "evaluation views have their own entries"


def test_masks_are_cached(store, folder):
    every, masks = examples(folder), DataMasks()
    transparent = [e for i, e in enumerate(every.examples) if every.image(i).mask is not None]
    assert len(transparent) == 4
    masked, again = (ExampleSet(every.dataset, transparent, PREPROCESS, augment=every.augment) for _ in range(2))
    for one, other in zip(masked.in_order(4, CPU, masks=masks), again.in_order(4, CPU, masks=masks), strict=True):
        assert torch.equal(one.masks, other.masks) and 0.1 < one.masks.mean() < 0.9


def test_views_of_another_size_have_their_own_entries(store, folder):
    """Evaluation views are cached per size."""
    digests = {}
    for size in (32, 24, 32):
        example_set = examples(folder, augment=False)
        seen = ExampleSet(example_set.dataset, example_set.examples, replace(PREPROCESS, size=(size, size)))
        digests[size] = digest(seen)
        assert {tuple(b.shape[-2:]) for b in digests[size]} == {(size, size)}
    fresh = examples(folder, augment=False, use=False)
    for size, views in digests.items():
        assert same(views, digest(ExampleSet(fresh.dataset, fresh.examples, replace(PREPROCESS, size=(size, size)))))


@pytest.mark.parametrize(
    "change", [{"resize_mode": "squash"}, {"resize_mode": "longest"}, {"interpolation": "bilinear"}, {"preset": "coop"}]
)
def test_views_of_another_preprocessing_have_their_own_entries(store, folder, change):
    preset = "coop-2021" if change.pop("preset", "") else "crop"
    before = digest(examples(folder, augment=False))
    views = []
    for use in (True, False):
        example_set = examples(folder, augment=False, use=use)
        views.append(
            digest(ExampleSet(example_set.dataset, example_set.examples, replace(PREPROCESS, **change), preset=preset))
        )
    assert same(*views) and not same(views[0], before)


def test_a_changed_image_gets_its_own_entry(store, folder):
    digest(examples(folder, augment=False))
    path = next(folder.glob("a/*"))
    before = path.stat()
    pixels = np.asarray(Image.open(path)).copy()
    Image.fromarray(255 - pixels).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert same(digest(examples(folder, augment=False)), digest(examples(folder, augment=False, use=False)))
    assert len(entries(store)) == 13


def test_a_moved_folder_uses_the_same_entries(store, folder, tmp_path):
    digest(examples(folder))
    folder.rename(tmp_path / "moved")
    digest(examples(tmp_path / "moved"))
    assert len(entries(store)) == 12


def test_writing_into_a_mapped_image_does_not_change_the_file(store, make_image):
    store.put(b"k" * 32, make_image())
    store.get(b"k" * 32).image.zero_()
    assert store.get(b"k" * 32).image.equal(make_image().image)


def test_concurrent_writes_of_the_same_entries(store, make_image):
    stores = [disk_cache.DiskCache(store.folder) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: stores[i % 8].put(b"%032d" % (i % 5), make_image(i % 5)), range(200)))
    assert len(entries(store)) == 5 and not list(store.folder.rglob("*.tmp"))
    assert all(store.get(b"%032d" % i).image.equal(make_image(i).image) for i in range(5))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_disables_the_cache_with_one_warning(store, folder, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    plain = digest(examples(folder, use=False))
    monkeypatch.setattr(disk_cache.os, "replace", refuse)
    with pytest.warns(UserWarning, match=f"are not kept in .* \\({os.strerror(number).lower()}\\)") as error:
        example_set = examples(folder)
        assert same(digest(example_set), plain) and same(digest(example_set), plain)
    assert len(error) == 1 and not list(store.folder.rglob("*.tmp"))


def test_a_folder_that_cannot_be_created(tmp_path, folder, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "store"))
    with pytest.warns(UserWarning, match="are not kept in .*; set CLIPTUNE_CACHE to another folder, or use --no-cache"):
        first = digest(examples(folder))
    assert same(first, digest(examples(folder, use=False)))


def test_the_size_is_bounded(store, monkeypatch, make_image):
    monkeypatch.setattr(disk_cache, "RECOUNT_BYTES", 400)
    monkeypatch.setattr(disk_cache, "MAX_CACHE_BYTES", 2000)
    with pytest.warns(UserWarning, match="no room"):
        for i in range(40):
            store.put(b"%032d" % i, make_image(i))
    assert 1000 < sum(p.stat().st_size for p in entries(store)) <= 2000
    assert store.get(b"%032d" % 0) is not None, "entries in use stay"


def test_unused_entries_make_room(store, monkeypatch, make_image):
    monkeypatch.setattr(disk_cache, "RECOUNT_BYTES", 400)
    monkeypatch.setattr(disk_cache, "MAX_CACHE_BYTES", 2000)
    for i in range(4):
        store.put(b"%032d" % i, make_image(i))
        aged = time.time() - 2 * disk_cache.UNUSED_SECONDS - i
        os.utime(store._path(b"%032d" % i), (aged, aged))
    left = store.folder / "a"
    left.mkdir(exist_ok=True)
    (left / "torn.1234.tmp").write_bytes(b"of a process that was killed")
    os.utime(left / "torn.1234.tmp", (0, 0))
    assert store.get(b"%032d" % 3) is not None, "used again"
    fresh = disk_cache.DiskCache(store.folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(4, 7):
            assert fresh.put(b"%032d" % i, make_image(i))
    assert fresh.get(b"%032d" % 3) is not None and fresh.get(b"%032d" % 2) is None
    assert not (left / "torn.1234.tmp").exists()


def test_drawings_are_not_cached(store):
    toy = task()
    list(ExampleSet(drawings(), toy.train, PREPROCESS).in_order(5, CPU))
    assert not entries(store)


def test_small_images_are_not_cached(store, folder, monkeypatch):
    monkeypatch.setattr(disk_cache, "MIN_ENTRY_BYTES", 1 << 15)
    digest(examples(folder))
    assert not entries(store)


def test_small_views_of_larger_images_are_cached(store, folder, monkeypatch):
    monkeypatch.setattr(disk_cache, "MIN_ENTRY_BYTES", 5000)  # of the views: 3072
    views = digest(examples(folder, augment=False, keep=False))
    assert len(entries(store)) == 12
    assert same(digest(examples(folder, augment=False, keep=False)), views)


def test_images_are_shrunk_once(store, folder):
    example_set = examples(folder)
    example_set.dataset.reading = DataConfig(shrink=20)
    small = ExampleSet(example_set.dataset, example_set.examples, PREPROCESS, augment=RandomCropFlip(32))
    sizes = {min(small.image(i).image.shape[-2:]) for i in range(12)}
    assert sizes == {20}
    again = ExampleSet(example_set.dataset, example_set.examples, PREPROCESS, augment=RandomCropFlip(32))
    assert same(digest(again), digest(small))
    assert not same(digest(small), digest(examples(folder)))
