"""Masks of the benchmarks, from archives on a server to files that `beside` finds."""

import json
import os
import shutil

import pytest

import mini_public_datasets
from cliptune import masks
from cliptune.data.public.download import DownloadOptions
from cliptune.errors import UserError
from cliptune.masks.download import download_masks, finish
from cliptune.masks.sibling_folder import SiblingFolderMasks
from fake_mask_sites import FOREGROUND, SPECS, archive_of, asked_files, white_square
from make_archives import tarred, zipped
from mini_public_datasets import miniature

pytestmark = miniature
BENCHMARKS = sorted(mini_public_datasets.FORMS)  # all but ImageNet


def assert_masks(name, root, suffix=".jpg"):
    """Assert that every training image has the mask of the archive, and that no other files are left."""
    dataset = mini_public_datasets.open_dataset(name, root)
    source = masks.get("beside")
    assert isinstance(source, SiblingFolderMasks)
    source.check(dataset.examples("train"))
    for example in dataset.examples("train"):
        path = source.find(example)
        assert path is not None and path.suffix == suffix
        mask = source.mask(example, dataset.read(example))
        assert 0.2 < float((mask > 127).float().mean()) < 0.3
    assert not (root / "downloads").exists()


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("form", ["foreground", "inside", "mask", "bare"])
def test_archives_of_any_structure(mask_hub, mask_root, benchmark, name, form):
    keys = benchmark(name)
    inner = SPECS[name].layouts[0].images
    prefixes = {"inside": f"mask/{inner}/" if inner else "mask/", "mask": "mask/", "bare": ""}
    options = mask_hub(f"{FOREGROUND[name].split('/')[0]}.zip", archive_of(name, keys, prefixes.get(form)))
    placed = download_masks(name, mask_root, options)
    assert placed.record is not None and placed.remarks == ()
    assert placed.folder == mask_root / SPECS[name].home / "mask"
    assert placed.record.counts() == "masks of 12 of 12 training, 8 of 8 validation, 8 of 8 test images"
    assert_masks(name, mask_root)


@pytest.mark.parametrize(
    "layout", [x for x in SPECS["sun397"].layouts if x.kind != "CoOp"], ids=lambda x: x.home or "-"
)
def test_other_layouts_of_the_images(mask_hub, mask_root, benchmark, layout):
    options = mask_hub(
        "sun-397.tar.gz", tarred({"sun-397/mask/" + k: white_square() for k in benchmark("sun397", layout=layout)})
    )
    assert download_masks("sun397", mask_root, options).record
    assert_masks("sun397", mask_root)


def test_every_layout_of_every_benchmark_has_a_place_of_its_own(mask_root):
    from cliptune.data.public.common.spec import DatasetLocation
    from cliptune.masks.download.images import MaskedImages

    for spec in SPECS.values():
        for layout in spec.layouts:
            home = mask_root / layout.home
            folder = MaskedImages(spec.name, DatasetLocation(layout, home, home / layout.images, None), {}).folder
            assert mask_root not in (folder, folder.parent)


def test_imagenet(mask_hub, mask_root):
    from cliptune.data.public.common.wnids import wnids

    for part in ("train", "val"):
        mini_public_datasets.write_class_folders(mask_root / "imagenet" / "images" / part, wnids())
    paths = [f"{part}/{wnid}/{wnid}_0.JPEG" for part in ("train", "val") for wnid in wnids()]
    placed = download_masks("imagenet", mask_root, mask_hub("imagenet-1k.zip", archive_of("imagenet", paths)))
    assert placed.record and placed.record.counts() == "masks of 1,000 of 1,000 training, 1,000 of 1,000 test images"
    assert (mask_root / "imagenet" / "mask" / "images" / paths[0]).is_file()


def test_one_archive_of_several_datasets_is_downloaded_once(mask_hub, site, mask_root, benchmark):
    files = {
        FOREGROUND[name] + key: white_square()
        for name in ("dtd", "eurosat", "stanford_cars")
        for key in benchmark(name)
    }
    files["food101/mask/food-101/images/apple_pie/00001.jpg"] = white_square()
    options = mask_hub("masks.zip", zipped(files))
    for name in ("dtd", "stanford_cars", "eurosat"):
        assert download_masks(name, mask_root, options).remarks == ()
    assert asked_files(site) == ["masks.zip"]
    finish(mask_root, options)
    assert_masks("stanford_cars", mask_root)


def test_several_archives_of_one_dataset(mask_hub, mask_root, benchmark):
    keys = benchmark("dtd")
    mask_hub("dtd/train.zip", archive_of("dtd", keys[:12]))
    mask_hub("other.zip", b"of another dataset")
    options = mask_hub("dtd/rest.zip", archive_of("dtd", keys[12:]))
    assert download_masks("dtd", mask_root, options).record
    assert_masks("dtd", mask_root)


@pytest.mark.parametrize("suffix", [".001 .002", ".part-aa .part-ab", ".aa .ab"])
def test_an_archive_in_parts(mask_hub, mask_root, benchmark, suffix):
    content = archive_of("dtd", benchmark("dtd"))
    for end, part in zip(suffix.split(), (content[:2000], content[2000:]), strict=True):
        options = mask_hub(f"dtd.zip{end}", part)
    assert download_masks("dtd", mask_root, options).record
    assert_masks("dtd", mask_root)


@pytest.mark.parametrize("ending", [".png", ".jpg.png", "_mask.png"])
def test_masks_with_another_suffix(mask_hub, mask_root, benchmark, ending):
    files = {f"dtd/mask/{key.removesuffix('.jpg')}{ending}": white_square(kind="PNG") for key in benchmark("dtd")}
    download_masks("dtd", mask_root, mask_hub("dtd.zip", zipped(files)))
    assert_masks("dtd", mask_root, ".png")


def test_images_in_the_archive_are_not_taken_for_masks(mask_hub, mask_root, benchmark):
    keys = benchmark("dtd")
    images = {f"dtd/dtd/dtd/images/{key}": mini_public_datasets.jpeg(0) for key in keys}
    every = {**images, **{FOREGROUND["dtd"] + key: white_square() for key in keys}, "__MACOSX/mask/._x.jpg": b"?"}
    download_masks("dtd", mask_root, mask_hub("dtd.zip", zipped(every)))
    assert_masks("dtd", mask_root)


def test_a_flat_archive_is_matched_by_name(mask_hub, mask_root, benchmark):
    keys = benchmark("stanford_cars")
    flat = {"stanford_cars/mask/" + key.rpartition("/")[2]: white_square() for key in keys if "train" in key}
    placed = download_masks("stanford_cars", mask_root, mask_hub("stanford_cars.zip", zipped(flat)))
    assert placed.record and placed.record.masks["train"] == 12
    assert placed.remarks == ("masks in stanford_cars.zip are matched by file name alone, with training images first",)


def test_masks_of_no_image_are_counted_and_left_out(mask_hub, mask_root, benchmark):
    files = [*benchmark("dtd"), "banded/unknown.jpg"]
    placed = download_masks("dtd", mask_root, mask_hub("dtd.zip", archive_of("dtd", files)))
    some = f"{FOREGROUND['dtd']}banded/unknown.jpg"
    assert placed.remarks == (f"1 masks in dtd.zip belong to no image of the split: {some}",)
    assert not (placed.folder / "images" / "banded" / "unknown.jpg").exists()


def test_the_record(mask_hub, mask_root, benchmark):
    placed = download_masks("dtd", mask_root, mask_hub("dtd.zip", archive_of("dtd", benchmark("dtd"))))
    record = json.loads((placed.folder / "downloaded.json").read_text())
    assert record["source"] == "foreground" and record["archives"]["dtd.zip"].startswith("sha256:")
    assert record["images"] == record["masks"] == {"train": 12, "val": 8, "test": 8}


def test_an_existing_download_is_left_unchanged(mask_hub, site, mask_root, benchmark):
    options = mask_hub("dtd.zip", archive_of("dtd", benchmark("dtd")))
    download_masks("dtd", mask_root, options)
    asked = len(site.asked)
    assert download_masks("dtd", mask_root, options).remarks == ("already there",)
    assert len(site.asked) == asked
    with pytest.raises(UserError, match=r"dtd/mask has masks from the archive foreground; move this folder away to"):
        download_masks("dtd", mask_root, DownloadOptions("seem", site.url))


def test_masks_from_elsewhere(mask_hub, site, mask_root, benchmark):
    keys = benchmark("dtd")
    own = mask_root / "dtd" / "mask"
    for key in keys[:13]:
        (own / key).parent.mkdir(parents=True, exist_ok=True)
        (own / key).write_bytes(white_square())
    options = mask_hub("dtd.zip", archive_of("dtd", keys))
    placed = download_masks("dtd", mask_root, options)
    assert placed.record is None and "from elsewhere are already there, such as " in placed.remarks[0]
    (own / keys[0]).unlink()
    with pytest.raises(
        UserError, match="dtd/mask exists already, with masks of 11 of 12 sampled training images; move"
    ):
        download_masks("dtd", mask_root, options)
    assert site.asked == []
    shutil.rmtree(own)
    assert download_masks("dtd", mask_root, options).record


def test_masks_that_hide_the_downloaded_ones(mask_hub, mask_root, benchmark):
    keys = benchmark("dtd")
    nearer = mask_root / "dtd" / "images-masks" / keys[0]
    nearer.parent.mkdir(parents=True)
    nearer.write_bytes(white_square())
    placed = download_masks("dtd", mask_root, mask_hub("dtd.zip", archive_of("dtd", keys)))
    assert placed.remarks == (f"--masks-from beside finds other masks first, such as {nearer}; move these away",)


def test_missing_masks_of_training_images_are_named(mask_hub, site, mask_root, benchmark):
    keys = benchmark("dtd")
    options = mask_hub("dtd.zip", archive_of("dtd", keys[1:-1]))
    for _ in range(2):
        with pytest.raises(
            UserError, match=f"of 11 of 12 training, .* 7 of 8 test .*1 training .*{keys[0]}; .*--skip-bad"
        ):
            download_masks("dtd", mask_root, options)
    assert asked_files(site) == ["dtd.zip"]
    assert (mask_root / "dtd" / "mask" / "images" / keys[1]).is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pascal_voc", "no archive has masks of VOC12: its annotations contain masks"),
        ("imagenet_a", "no archive has masks of ImageNetA: it is for testing only"),
        ("dtd", "no DescribableTextures under .*cliptune data download dtd --root"),
    ],
)
def test_datasets_without_masks_or_images(mask_hub, mask_root, name, message):
    with pytest.raises(UserError, match=message):
        download_masks(name, mask_root, mask_hub("dtd.zip", b"?"))
    assert os.listdir(mask_root) == []


def test_a_dataset_without_an_archive(mask_hub, mask_root, benchmark):
    benchmark("dtd")
    mask_hub("caltech-101.zip", b"?")
    with pytest.raises(
        UserError,
        match=r"no archive of masks of dtd in _OPTIONAL_.*, but Food_101_mask\.zip, caltech-101\.zip; use --mirror",
    ):
        download_masks("dtd", mask_root, mask_hub("Food_101_mask.zip", b"?"))
    assert not (mask_root / "downloads").exists()
