"""The list of mask archives, from a server with the answers of the hub."""

import json

import pytest

from cliptune.data.public.download.transfer import NotAvailable
from cliptune.masks.download.hub_folder import FOLDER, hub_url, list_archives
from cliptune.masks.download.naming import archives_of, dataset_names, identify
from fake_mask_sites import FOREGROUND, TREE


def test_sizes_and_digests_are_those_of_the_hub(mask_hub, site):
    mask_hub("dtd.zip", b"12345")
    mask_hub("README.md", b"?")
    (archive,) = list_archives(site.url)
    assert archive.path == f"{FOLDER}/dtd.zip" and archive.size == 5
    assert archive.files[0].digest == "sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"


def test_pages_of_the_list(mask_hub, site):
    mask_hub("dtd.zip", b"1")
    tree = f"{TREE}/{FOLDER}"
    second = [{"type": "file", "path": f"{FOLDER}/eurosat.zip", "size": 3}]
    site.files["/api/more"] = json.dumps(second).encode()
    site.headers[tree] = {"Link": '<https://huggingface.co/api/more?cursor=a%3D>; rel="next"'}
    assert [archive.size for archive in list_archives(site.url)] == [1, 3]


def test_one_file_in_place_of_a_folder(site):
    lfs = {"oid": "a" * 64, "size": 7, "pointerSize": 1}
    site.files[TREE] = json.dumps([{"type": "file", "path": f"{FOLDER}.zip", "size": 1, "lfs": lfs}]).encode()
    (archive,) = list_archives(site.url)
    assert (archive.path, archive.size) == (f"{FOLDER}.zip", 7)
    assert archives_of("dtd", [".zip"]) == [".zip"]


def test_parts_are_joined_in_order(mask_hub, site):
    for end in ("10", "2", "1"):
        mask_hub(f"dtd.zip.{end}", end.encode())
    (archive,) = list_archives(site.url)
    assert [file.path.rpartition(".")[2] for file in archive.files] == ["1", "2", "10"]


def test_a_zip_that_spans_several_files_is_refused(mask_hub, site):
    mask_hub("dtd.z01", b"?")
    mask_hub("dtd.zip", b"?")
    with pytest.raises(NotAvailable, match=r"dtd\.zip spans several files, .*: zip -s 0 .*dtd\.zip --out whole\.zip"):
        list_archives(site.url)


@pytest.mark.parametrize("listed", [b"<html>", b"[1]", b'{"error": "x"}', b'[{"path": "x"}]'])
def test_an_invalid_list(site, listed):
    site.files[TREE] = listed
    with pytest.raises(NotAvailable, match="in an unknown format"):
        list_archives(site.url)


def test_a_repository_without_archives(mask_hub, site):
    with pytest.raises(NotAvailable, match="has no zip or tar archive in _OPTIONAL_.*, but README.md, _OPTIONAL"):
        list_archives(site.url)
    mask_hub("dtd.7z", b"?")
    with pytest.raises(NotAvailable, match=r"but _OPTIONAL_FOREGROUND_MASK_ONLY_DATA/dtd\.7z"):
        list_archives(site.url)
    del site.files[TREE]
    with pytest.raises(NotAvailable, match=r"tree/main: not found \(404\)"):
        list_archives(site.url)


def test_a_server_that_answers_at_the_second_attempt(mask_hub, site):
    mask_hub("dtd.zip", b"1")
    site.statuses = [503, 200, 500]
    assert list_archives(site.url)


def test_another_hub_from_the_environment(monkeypatch):
    assert hub_url("") == "https://huggingface.co"
    monkeypatch.setenv("HF_ENDPOINT", "https://a/")
    assert hub_url("") == "https://a" and hub_url("https://b/") == "https://b"


def test_archives_are_identified_by_name():
    names = dataset_names()
    for name, path in FOREGROUND.items():
        assert identify(path, names) == name
    for path, name in {
        "caltech-101_mask.zip": "caltech101",
        "mask_only_Flowers-102.tar.gz": "oxford_flowers",
        "FGVC_Aircraft.zip": "fgvc_aircraft",
        "ImageNet-1k--train-masks.zip": "imagenet",
        "sun-397/mask.zip": "sun397",
        "masks.zip": None,
        "imagenet-adversarial.zip": None,
    }.items():
        assert identify(path, names) == name, path
    assert archives_of("dtd", ["dtd.zip", "masks.zip"]) == ["dtd.zip"]
    assert archives_of("dtd", ["food101.zip", "masks.zip"]) == ["masks.zip"]
