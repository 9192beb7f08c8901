"""Archives of masks of miniature benchmarks, on a local server with the answers of the hub."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

import mini_public_datasets
from cliptune.data import public
from cliptune.data.public.download import DownloadOptions
from cliptune.masks.download.hub_folder import FOLDER, REPOSITORY
from http_servers import Site
from make_archives import zipped

SPECS = public.specs()
TREE = f"/api/datasets/{REPOSITORY}/tree/main"
#: The folder of the masks of a dataset's images in Prompt_Tuning_Datasets_with_Foreground.
FOREGROUND = {
    "caltech101": "caltech-101/mask/caltech-101/101_ObjectCategories/",
    "oxford_pets": "oxford_pets/mask/oxford_pets/images/",
    "stanford_cars": "stanford_cars/mask/stanford_cars/",
    "oxford_flowers": "flowers-102/mask/oxford_flowers/jpg/",
    "food101": "food101/mask/food-101/images/",
    "fgvc_aircraft": "fgvc_aircraft/fgvc-aircraft-2013b/mask/fgvc_aircraft/images/",
    "sun397": "sun-397/mask/sun397/sun397/",
    "dtd": "dtd/dtd/mask/dtd/images/",
    "eurosat": "eurosat/mask/eurosat/2750/",
    "ucf101": "ucf101/mask/ucf101/UCF-101-midframes/",
    "imagenet": "imagenet-1k/mask/imagenet/images/",
}


def white_square(size: int = 64, kind: str = "JPEG", box: tuple[int, int, int, int] = (16, 16, 48, 48)) -> bytes:
    """A mask with a white square on black, larger than the images."""
    image = Image.new("L", (size, size))
    image.paste(255, box)
    stream = io.BytesIO()
    image.save(stream, kind, quality=95)
    return stream.getvalue()


def keys_of(split: dict[str, list[list]]) -> list[str]:
    """The paths of all images of a split."""
    return [item[0] for part in split.values() for item in part]


def archive_of(name: str, keys: Sequence[str], prefix: str | None = None) -> bytes:
    """A zip of masks of images at `keys`, below `prefix`."""
    start = FOREGROUND[name] if prefix is None else prefix
    return zipped({start + key: white_square() for key in keys})


@pytest.fixture
def mask_root(tmp_path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def benchmark(mask_root) -> Callable[[str], list[str]]:
    """A function that writes a miniature benchmark and returns the paths of its images."""
    return lambda name, **more: keys_of(mini_public_datasets.write_dataset(SPECS[name], mask_root, **more))


@pytest.fixture
def mask_hub(site):
    """A function that adds a file to the folder of mask archives, and returns options for its server."""
    listed: list[dict] = []
    folder = {"type": "directory", "path": FOLDER, "size": 0, "oid": "0"}
    readme = {"type": "file", "path": "README.md", "size": 9, "oid": "0"}
    site.files[TREE] = json.dumps([readme, folder, {**folder, "path": "caltech-101"}]).encode()
    site.files[f"{TREE}/{FOLDER}"] = b"[]"

    def add(path: str, content: bytes, *, sha256: str = "", lfs: bool = True, size: int | None = None):
        digest = sha256 or hashlib.sha256(content).hexdigest()
        entry = {"type": "file", "path": f"{FOLDER}/{path}", "oid": "0", "size": size or len(content)}
        listed.append({**entry, "lfs": {"oid": digest, "size": len(content)}} if lfs else entry)
        site.files[f"{TREE}/{FOLDER}"] = json.dumps(listed).encode()
        site.files[f"/datasets/{REPOSITORY}/resolve/main/{FOLDER}/{path}"] = content
        return DownloadOptions("foreground", site.url)

    return add


def asked_files(site: Site) -> list[str]:
    """The names of the archives that were requested."""
    return [path.rpartition("/")[2] for _, path, _ in site.asked if "/resolve/" in path]
