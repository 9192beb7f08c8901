"""Zips of the collection, from a server with the answers of the hub."""

import os

import pytest

from cliptune.data.public.common.recipe import COLLECTION
from cliptune.data.public.download.collection import fetch_archive
from cliptune.data.public.download.transfer import NotAvailable

CONTENT = os.urandom(300_000)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "downloads").mkdir()
    return tmp_path / "downloads"


def test_a_zip_is_found_by_any_of_its_names(hub, folder):
    site = hub("README.md", b"?")
    hub("caltech-101.zip", CONTENT)
    hub("Food_101.zip", b"other")
    found = fetch_archive(["food-101"], folder, hub=site.url)
    assert found == folder / "Food_101.zip" and found.read_bytes() == b"other"
    assert fetch_archive(["caltech101"], folder, hub=site.url).read_bytes() == CONTENT


def test_an_existing_zip_is_used_without_the_network(folder):
    (folder / "dtd.zip").write_bytes(b"mine")
    assert fetch_archive(["dtd"], folder, hub="http://127.0.0.1:9") == folder / "dtd.zip"


def test_a_zip_missing_from_the_collection(hub, folder):
    site = hub("eurosat.zip", b"1")
    hub("dtd-old.zip", b"1")
    with pytest.raises(NotAvailable, match=rf"/{COLLECTION} has no archive named dtd, but eurosat\.zip, dtd-old\.zip"):
        fetch_archive(["dtd"], folder, hub=site.url)


def test_an_interrupted_connection_is_resumed(hub, folder):
    site = hub("dtd.zip", CONTENT)
    site.cuts = [10_000_000, 100_000]  # the list arrives completely
    assert fetch_archive(["dtd"], folder, hub=site.url).read_bytes() == CONTENT
    assert [span for method, path, span in site.asked if method == "GET" and span] == ["bytes=100000-"]


def test_content_that_differs_from_the_hubs_digest(hub, folder):
    site = hub("dtd.zip", CONTENT, sha256="0" * 64)
    with pytest.raises(NotAvailable, match=r"dtd\.zip has sha256 .*, expected 0{64}; it was removed"):
        fetch_archive(["dtd"], folder, hub=site.url)
    assert not (folder / "dtd.zip").exists()


def test_a_refusal(hub, folder):
    site = hub("dtd.zip", CONTENT)
    site.statuses = [200, 403]
    with pytest.raises(NotAvailable, match=r"/resolve/main/dtd\.zip: refused \(403\)"):
        fetch_archive(["dtd"], folder, hub=site.url)


@pytest.mark.parametrize("listed", [b"<html>", b"[1]", b'{"error": "x"}'])
def test_an_invalid_list(hub, folder, listed):
    site = hub("dtd.zip", CONTENT)
    site.files[f"/api/models/{COLLECTION}/tree/main"] = listed
    with pytest.raises(NotAvailable, match="in an unknown format"):
        fetch_archive(["dtd"], folder, hub=site.url)
    assert os.listdir(folder) == []


def test_another_hub_from_the_environment(hub, folder, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub("dtd.zip", CONTENT).url + "/")
    assert fetch_archive(["dtd"], folder).read_bytes() == CONTENT
