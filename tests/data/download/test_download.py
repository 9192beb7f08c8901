"""From a server of archives to a dataset under a root that runs."""

import dataclasses
import hashlib
import inspect
import os
from pathlib import Path

import pytest
from torchvision import datasets as published

import standins
import vocs
from cliptune.data import download as module
from cliptune.data import sources
from cliptune.data.card import find_split, locate
from cliptune.data.download import Order, download
from cliptune.data.download.recipes import RECIPES
from cliptune.data.download.transfer import NotHad
from cliptune.data.settings import Reading
from cliptune.errors import UserError
from packing import tarred, zipped

CARDS = sources.cards()
COLLECTED = sorted(standins.FORMS)  # those whose pictures a list names
#: The archives of the original sites, and how paths in the dataset's CoOp folder are called in them.
SITES = {
    "oxford_pets": {"images.tar.gz": ("images/", "images/"), "annotations.tar.gz": ("annotations/", "annotations/")},
    "oxford_flowers": {"102flowers.tgz": ("jpg/", "jpg/")},
    "food101": {"food-101.tar.gz": ("", "food-101/")},
    "fgvc_aircraft": {"fgvc-aircraft-2013b.tar.gz": ("", "fgvc-aircraft-2013b/data/")},
    "sun397": {"SUN397.tar.gz": ("SUN397/", "SUN397/")},
    "dtd": {"dtd-r1.0.1.tar.gz": ("", "dtd/")},
    "eurosat": {"EuroSAT.zip": ("2750/", "2750/")},
    "caltech101": {"caltech-101.zip": ("101_ObjectCategories/", "101_ObjectCategories/")},
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def made(tmp_path):
    """A function that gives the files of a small dataset by their path in its CoOp folder."""

    def call(name: str) -> dict[str, bytes]:
        standins.write(CARDS[name], tmp_path / "made")
        home = tmp_path / "made" / CARDS[name].layouts[0].home
        return {p.relative_to(home).as_posix(): p.read_bytes() for p in home.rglob("*") if p.is_file()}

    return call


@pytest.fixture
def original(site, made, monkeypatch):
    """A function that puts a small dataset on its own site, without digests; the order that fetches it there."""

    def call(name: str) -> Order:
        files, split, recipe = made(name), CARDS[name].split, RECIPES[name]
        site.files[f"/{split}"] = files.pop(split, b"")
        files["annotations/list.txt"] = b"?"
        for archive, (own, called) in SITES[name].items():
            held = {called + path.removeprefix(own): x for path, x in files.items() if path.startswith(own)}
            packed = zipped(held) if archive.endswith(".zip") else tarred(held)
            if name == "caltech101":
                packed = zipped({"caltech-101/101_ObjectCategories.tar.gz": tarred(held), "caltech-101/x.tar": b"?"})
            site.files[f"/{archive}"] = packed
        remotes = tuple(dataclasses.replace(remote, digest="") for remote in recipe.remotes)
        monkeypatch.setitem(RECIPES, name, dataclasses.replace(recipe, remotes=remotes))
        monkeypatch.setattr(module, "fingerprint", lambda content: CARDS[name].split_print)
        return Order("original", site.url)

    return call


@pytest.fixture
def dtd(hub, made):
    """DTD in the collection; the order that fetches it there."""
    return Order(mirror=hub("dtd.zip", zipped({f"dtd/{path}": x for path, x in made("dtd").items()})).url)


def runs(name: str, root: Path) -> None:
    """The dataset is read, in the CoOp layout, and nothing else is left."""
    place = locate(CARDS[name], root)
    assert place.layout.kind == "CoOp"
    with pytest.warns(UserWarning, match="not the published"):
        dataset = sources.get(name, Reading(root=str(root)))
    assert len(dataset.examples("train")) == 12 and dataset.read(dataset.examples("test")[0])
    assert os.listdir(root) == [Path(RECIPES[name].home).parts[0]]


def test_there_is_a_recipe_for_every_public_dataset():
    assert set(RECIPES) == set(CARDS)
    for name, recipe in RECIPES.items():
        first = CARDS[name].layouts[0]
        assert Path(recipe.home, recipe.sign).as_posix().startswith(Path(first.home, first.images).as_posix()), name
        assert recipe.collected or recipe.remotes or recipe.by_hand


def test_digests_and_addresses_are_the_published_ones():
    def of(name: str) -> list[tuple[str, str]]:
        return [(remote.url, remote.digest.removeprefix("md5:")) for remote in RECIPES[name].remotes]

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


def test_splits_are_those_of_the_cards():
    for name, recipe in RECIPES.items():
        assert recipe.split is None or recipe.split.file == CARDS[name].split


@pytest.mark.parametrize("name", COLLECTED)
@pytest.mark.parametrize("above", ["home", "", "name/home"])
def test_from_the_collection_in_any_wrapping(hub, made, root, name, above):
    recipe = RECIPES[name]
    prefix = above.replace("home", recipe.home).replace("name", name) + "/" * bool(above)
    site = hub(f"{name}.zip", zipped({prefix + path: content for path, content in made(name).items()}))
    report, remarks = download(name, root, Order(mirror=site.url))
    assert report.status == "ready" and remarks == []
    runs(name, root)


@pytest.mark.parametrize("name", SITES)
def test_from_the_original_site(original, root, name):
    report, remarks = download(name, root, original(name))
    assert report.status == "ready" and remarks == []
    runs(name, root)


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
def test_where_the_others_go(site, root, monkeypatch, name, archive, top):
    files = {f"{top}/n01440764/x.JPEG": b"?"}
    site.files[f"/{archive}"] = zipped(files) if archive.endswith("zip") else tarred(files, "w")
    recipe = RECIPES[name]
    remotes = tuple(dataclasses.replace(remote, digest="") for remote in recipe.remotes)
    monkeypatch.setitem(RECIPES, name, dataclasses.replace(recipe, remotes=remotes))
    with pytest.raises(UserError, match="was fetched"):  # but one picture is not all of it
        download(name, root, Order("original", site.url))
    first = CARDS[name].layouts[0]
    assert (root / first.home / first.images / "n01440764" / "x.JPEG").is_file()


def test_pascal_voc_is_whole_with_what_its_site_has(site, root, tmp_path, monkeypatch):
    home = vocs.write(tmp_path / "made", long=False) / "voc12data"
    held = {p.relative_to(home).as_posix(): p.read_bytes() for p in home.rglob("*") if p.is_file()}
    site.files["/VOCtrainval_11-May-2012.tar"] = tarred(held, "w")
    remotes = (dataclasses.replace(RECIPES["pascal_voc"].remotes[0], digest=""),)
    enough = len(vocs.TRAIN) + len(vocs.VAL)
    monkeypatch.setitem(
        RECIPES, "pascal_voc", dataclasses.replace(RECIPES["pascal_voc"], remotes=remotes, enough=enough)
    )
    assert download("pascal_voc", root, Order(mirror=site.url))[1] == []
    assert download("pascal_voc", root, Order(mirror=site.url))[1] == ["already there"]


def test_what_is_there_already_is_left_alone(root, site):
    standins.write(CARDS["dtd"], root, CARDS["dtd"].layouts[1])  # in torchvision's layout
    before = sorted(root.rglob("*"))
    report, remarks = download("dtd", root, Order(mirror=site.url))
    assert report.status == "ready" and remarks == ["already there"]
    assert site.asked == [] and sorted(root.rglob("*")) == before


def test_a_half_copied_dataset_is_completed(dtd, root):
    split = standins.write(CARDS["dtd"], root)
    first, second = (root / "dtd" / "images" / split["train"][i][0] for i in (0, 1))
    first.write_bytes(b"mine")
    second.unlink()
    report, remarks = download("dtd", root, dtd)
    assert report.status == "ready" and first.read_bytes() == b"mine" and second.is_file()
    assert remarks == ["28 files that were there already stay as they are"]


def test_only_the_split_is_fetched_where_only_it_is_missing(original, site, root):
    order = dataclasses.replace(original("dtd"), source="archive")
    standins.write(CARDS["dtd"], root)
    (root / "dtd" / CARDS["dtd"].split).unlink()
    assert download("dtd", root, order)[0].status == "ready"
    assert [path for _, path, _ in site.asked] == [f"/{CARDS['dtd'].split}"]


def test_pictures_without_a_split_are_told(original, site, root):
    order = original("dtd")
    del site.files[f"/{CARDS['dtd'].split}"]
    with pytest.raises(UserError, match=r"is in .*dtd, but its split .* is not; .*the split cannot be fetched, put it"):
        download("dtd", root, order)
    assert (root / "dtd" / "images").is_dir() and find_split(CARDS["dtd"], root) is None
    (root / "splits").mkdir()
    standins.write(CARDS["dtd"], root / "other")
    os.rename(root / "other" / "dtd" / CARDS["dtd"].split, root / "splits" / CARDS["dtd"].split)
    assert download("dtd", root, order)[1] == ["already there"]


def test_a_cut_download_goes_on_in_the_next_call(original, site, root):
    order = original("dtd")
    site.cuts = [10**9, 500, *[0] * 9]
    with pytest.raises(NotHad, match=r"ended after 500 of .*--from archive takes a collected copy, --mirror URL"):
        download("dtd", root, order)
    assert not (root / "dtd" / "images").exists()
    assert os.listdir(root / "downloads" / "dtd") != []
    site.cuts.clear()
    assert download("dtd", root, order)[0].status == "ready"
    assert site.asked[-1][2] == "bytes=500-"
    runs("dtd", root)


@pytest.mark.parametrize("step", ["unpack", "merge"])
def test_a_run_that_was_killed_goes_on_without_the_network(dtd, site, root, monkeypatch, step):
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
    runs("dtd", root)


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_run_that_was_killed_between_two_folders_goes_on(original, root, monkeypatch, done):
    order, real, left = original("oxford_pets"), module.merge, [done + 1]  # the split is the first to be moved

    def stop(*args, **more):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*args, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "merge", stop)
        patch.setattr(module, "_clear", stop)
        download("oxford_pets", root, order)
    assert download("oxford_pets", root, order)[0].status == "ready"
    runs("oxford_pets", root)


def test_archives_are_kept_on_demand(dtd, root):
    _, remarks = download("dtd", root, dataclasses.replace(dtd, keep=True))
    assert remarks == [f"dtd.zip stays in {root / 'downloads' / 'dtd'}"]
    assert os.listdir(root / "downloads" / "dtd") in (["dtd.zip"], ["dtd.zip", ".lock"], [".lock", "dtd.zip"])


def test_an_archive_brought_by_hand_is_used_and_stays(original, site, root):
    order = original("dtd")
    folder = root / "downloads" / "dtd"
    folder.mkdir(parents=True)
    (folder / "dtd-r1.0.1.tar.gz").write_bytes(site.files.pop("/dtd-r1.0.1.tar.gz"))
    assert download("dtd", root, order)[0].status == "ready"
    assert (folder / "dtd-r1.0.1.tar.gz").is_file()


def test_a_wrong_digest_leaves_nothing(original, site, root, monkeypatch):
    order = original("dtd")
    recipe = RECIPES["dtd"]
    wrong = dataclasses.replace(recipe.remotes[0], digest="md5:0")
    monkeypatch.setitem(RECIPES, "dtd", dataclasses.replace(recipe, remotes=(wrong,)))
    came = hashlib.md5(site.files["/dtd-r1.0.1.tar.gz"]).hexdigest()
    with pytest.raises(NotHad, match=f"came with md5 {came}, expected 0; it was removed; --from archive"):
        download("dtd", root, order)
    assert sorted(p.name for p in root.rglob("*") if p.is_file()) == [CARDS["dtd"].split]


def test_another_split_than_the_published_one(original, root, monkeypatch):
    order = original("dtd")
    monkeypatch.setattr(module, "fingerprint", lambda content: "0" * 12)
    with pytest.raises(UserError, match="is not; .*a sha256 that begins with 0{12}, not f26ebeccd2b5"):
        download("dtd", root, order)
    assert find_split(CARDS["dtd"], root) is None


def test_a_split_that_is_none(original, site, root):
    order = original("dtd")
    site.files[f"/{CARDS['dtd'].split}"] = b"{}"
    with pytest.raises(UserError, match="is not a split file"):
        download("dtd", root, order)
    assert not list(root.iterdir())


def test_an_archive_without_the_dataset(hub, root):
    site = hub("dtd.zip", zipped({"textures/x.jpg": b"?"}))
    with pytest.raises(UserError, match=r"has no folder images, but textures, in .*: bring it to .* by hand"):
        download("dtd", root, Order(mirror=site.url))
    assert not (root / "dtd").exists()


def test_another_archive_than_expected_by_hand(original, root):
    order = original("caltech101")
    folder = root / "downloads" / "caltech101"
    folder.mkdir(parents=True)
    (folder / "caltech-101.zip").write_bytes(zipped({"other/x.jpg": b"?"}))
    with pytest.raises(UserError, match=r"has no folder 101_ObjectCategories, but other, in"):
        download("caltech101", root, order)
    assert (folder / "caltech-101.zip").is_file()


def test_an_archive_that_lacks_pictures(hub, made, root):
    files = made("dtd")
    gone = next(path for path in files if path.endswith(".jpg"))
    site = hub("dtd.zip", zipped({path: x for path, x in files.items() if path != gone}))
    with pytest.raises(UserError, match=f"only 27 of 28 pictures are there, not {gone.removeprefix('images/')}; take"):
        download("dtd", root, Order(mirror=site.url))


def test_a_dataset_in_another_folder_is_not_fetched_again(root, site):
    standins.write(CARDS["dtd"], root)
    (root / "dtd" / "images").rename(root / "dtd" / "Images")
    with pytest.raises(UserError, match="DescribableTextures is there, but .*mv .*"):
        download("dtd", root, Order(mirror=site.url))
    assert site.asked == []


def test_two_at_once(dtd, root):
    from filelock import FileLock

    (root / "downloads" / "dtd").mkdir(parents=True)
    with FileLock(root / "downloads" / "dtd" / ".lock"), pytest.raises(UserError, match="another process is fetching"):
        download("dtd", root, dtd)


@pytest.mark.parametrize("name", ["imagenet", "stanford_cars", "ucf101"])
def test_what_is_fetched_by_hand(root, name):
    with pytest.raises(UserError, match=str(root / RECIPES[name].home)):
        download(name, root, Order("original"))
    assert not list(root.iterdir())


def test_a_root_that_cannot_be_written(dtd, root):
    (root / "downloads").write_text("a file")
    with pytest.raises(UserError, match="cannot write .*downloads/dtd: .*; choose another folder with --root"):
        download("dtd", root, dtd)
