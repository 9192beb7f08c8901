"""Downloads from a server of archives to a usable dataset under a root."""

import dataclasses
import inspect
import os

import pytest
from torchvision import datasets as published

import fake_voc
import mini_public_datasets
from cliptune.data.public.common.spec import find_split
from cliptune.data.public.download import DownloadOptions, download
from cliptune.errors import UserError
from fake_download_sites import CARDS, SITES, assert_complete, change_recipe
from make_archives import tarred, zipped

COLLECTED = sorted(mini_public_datasets.FORMS)  # datasets whose images are listed in a split file


def test_every_public_dataset_has_a_download_or_instructions():
    for name, spec in CARDS.items():
        recipe = spec.recipe
        assert recipe.collected or recipe.remote_files or recipe.manual_steps, name


def test_digests_and_addresses_are_the_published_ones():
    def of(name: str) -> list[tuple[str, str]]:
        return [(remote.url, remote.digest.removeprefix("md5:")) for remote in CARDS[name].recipe.remote_files]

    assert of("dtd") == [(published.DTD._URL, published.DTD._MD5)]
    assert of("food101") == [(published.Food101._URL, published.Food101._MD5)]
    assert of("sun397") == [(published.SUN397._DATASET_URL, published.SUN397._DATASET_MD5)]
    assert of("oxford_pets") == list(published.OxfordIIITPet._RESOURCES)
    assert of("fgvc_aircraft") == [(published.FGVCAircraft._URL, "")]
    flowers = published.Flowers102
    assert of("oxford_flowers") == [(flowers._download_url_prefix + "102flowers.tgz", flowers._file_dict["image"][1])]
    for name, kind in {"caltech101": published.Caltech101, "eurosat": published.EuroSAT}.items():
        assert all(fact in inspect.getsource(kind) for fact in of(name)[0])
    voc = published.voc.DATASET_YEAR_DICT["2012"]
    assert of("pascal_voc") == [(voc["url"], voc["md5"])]


def test_splits_agree_with_the_specifications():
    for spec in CARDS.values():
        assert spec.recipe.split is None or spec.recipe.split.file_name == spec.split_file


@pytest.mark.parametrize("name", COLLECTED)
@pytest.mark.parametrize("above", ["home", "", "name/home"])
def test_from_the_collection_in_any_folder_structure(hub, made, root, name, above):
    prefix = above.replace("home", CARDS[name].home).replace("name", name) + "/" * bool(above)
    site = hub(f"{name}.zip", zipped({prefix + path: content for path, content in made(name).items()}))
    report, remarks = download(name, root, DownloadOptions("archive", site.url))
    assert report.status == "ready" and remarks == []
    assert_complete(name, root)


@pytest.mark.parametrize("name", SITES)
def test_from_the_original_site(original, root, name):
    report, remarks = download(name, root, original(name))
    assert report.status == "ready" and remarks == []
    assert_complete(name, root)


@pytest.mark.parametrize(
    ("name", "archive", "top"),
    [
        ("imagenetv2", "imagenetv2-matched-frequency.tar.gz", "imagenetv2-matched-frequency-format-val"),
        ("imagenet_sketch", "ImageNet-Sketch.zip", "sketch"),
        ("imagenet_a", "imagenet-a.tar", "imagenet-a"),
        ("imagenet_r", "imagenet-r.tar", "imagenet-r"),
        ("pascal_voc", "VOCtrainval_11-May-2012.tar", "VOCdevkit/VOC2012/JPEGImages"),
    ],
)
def test_target_folders_of_the_others(site, root, monkeypatch, name, archive, top):
    files = {f"{top}/n01440764/x.JPEG": b"?"}
    site.files[f"/{archive}"] = zipped(files) if archive.endswith("zip") else tarred(files, "w")
    recipe = CARDS[name].recipe
    remotes = tuple(dataclasses.replace(remote, digest="") for remote in recipe.remote_files)
    change_recipe(monkeypatch, name, remote_files=remotes)
    with pytest.raises(UserError, match="was downloaded"):  # one image is not the whole dataset
        download(name, root, DownloadOptions("original", site.url))
    first = CARDS[name].layouts[0]
    assert (root / first.home / first.images / "n01440764" / "x.JPEG").is_file()


def test_pascal_voc_is_complete_with_the_files_of_its_site(site, root, tmp_path, monkeypatch):
    home = fake_voc.write_voc(tmp_path / "made", long=False) / "voc12data"
    contents = {p.relative_to(home).as_posix(): p.read_bytes() for p in home.rglob("*") if p.is_file()}
    site.files["/VOCtrainval_11-May-2012.tar"] = tarred(contents, "w")
    remotes = (dataclasses.replace(CARDS["pascal_voc"].recipe.remote_files[0], digest=""),)
    enough = len(fake_voc.TRAIN) + len(fake_voc.VAL)
    change_recipe(monkeypatch, "pascal_voc", remote_files=remotes, min_images=enough)
    assert download("pascal_voc", root, DownloadOptions("archive", site.url))[1] == []
    assert download("pascal_voc", root, DownloadOptions("archive", site.url))[1] == ["already there"]


def test_existing_datasets_are_left_unchanged(root, site):
    mini_public_datasets.write_dataset(CARDS["dtd"], root, CARDS["dtd"].layouts[1])  # in torchvision's layout
    before = sorted(root.rglob("*"))
    report, remarks = download("dtd", root, DownloadOptions("archive", site.url))
    assert report.status == "ready" and remarks == ["already there"]
    assert site.asked == [] and sorted(root.rglob("*")) == before


def test_an_incomplete_dataset_is_completed(dtd, root):
    split = mini_public_datasets.write_dataset(CARDS["dtd"], root)
    first, second = (root / "dtd" / "images" / split["train"][i][0] for i in (0, 1))
    first.write_bytes(b"mine")
    second.unlink()
    report, remarks = download("dtd", root, dtd)
    assert report.status == "ready" and first.read_bytes() == b"mine" and second.is_file()
    assert remarks == ["28 files that existed already were not changed"]


def test_only_the_missing_split_is_downloaded(original, site, root):
    order = dataclasses.replace(original("dtd"), source="archive")
    mini_public_datasets.write_dataset(CARDS["dtd"], root)
    (root / "dtd" / CARDS["dtd"].split_file).unlink()
    assert download("dtd", root, order)[0].status == "ready"
    assert [path for _, path, _ in site.asked] == [f"/{CARDS['dtd'].split_file}"]


def test_images_without_a_split_are_reported(original, site, root):
    order = original("dtd")
    del site.files[f"/{CARDS['dtd'].split_file}"]
    with pytest.raises(UserError, match=r"is in .*dtd, but its split .* is not; .*the split cannot be downloaded"):
        download("dtd", root, order)
    assert (root / "dtd" / "images").is_dir() and find_split(CARDS["dtd"], root) is None
    (root / "splits").mkdir()
    mini_public_datasets.write_dataset(CARDS["dtd"], root / "other")
    os.rename(root / "other" / "dtd" / CARDS["dtd"].split_file, root / "splits" / CARDS["dtd"].split_file)
    assert download("dtd", root, order)[1] == ["already there"]
