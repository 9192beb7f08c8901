"""Download recipes of public datasets: URLs, published digests, and target folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

#: Archives of all public datasets except ImageNet and Pascal VOC, with their splits, by the authors of PromptKD.
COLLECTION = "zhengli97/prompt_learning_dataset"
#: Where the authors of CoOp publish their split files.
DRIVE = "https://drive.google.com/uc?export=download&id="
#: Servers that host several datasets.
OXFORD = "https://www.robots.ox.ac.uk/~vgg/data/"
BERKELEY = "https://people.eecs.berkeley.edu/~hendrycks/"
HUB_DATASETS = "https://huggingface.co/datasets/"


@dataclass(frozen=True)
class RemoteFile:
    """A file on a dataset's own site."""

    url: str
    digest: str = ""
    """The published digest, "md5:..." or "sha256:..."; "" if unknown."""
    inner_archive: str = ""
    """Path of an archive inside this archive that is unpacked too."""
    name: str = ""
    """File name, if the URL does not contain it."""

    @property
    def file_name(self) -> str:
        """The file name on disk."""
        return self.name or PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class Recipe:
    """Sources of a dataset, and where the content of its archives goes.

    Digests are those that torchvision and readers of the ImageNet family check.
    """

    collected: bool = True
    """Whether the collection contains it."""
    aliases: tuple[str, ...] = ()
    """Further names of its archive in the collection, besides the dataset's name and folder."""
    remote_files: tuple[RemoteFile, ...] = ()
    """The archives on its own site."""
    moves: tuple[tuple[str, str], ...] = ()
    """(path inside the unpacked archives, target relative to the root)."""
    split: RemoteFile | None = None
    """The split file, for images from the dataset's own site."""
    gigabytes: tuple[float, float] = (0, 0)
    """Rounded size of the collection's archive and of the original archives; 0 if unknown."""
    min_images: int = 0
    """Number of images that suffice, if the dataset's own site has fewer than published results use."""
    manual_steps: str = ""
    """Instructions for a manual download, if the original cannot be downloaded; {root} is the root."""
    manual_archives: Mapping[str, str] = field(default_factory=dict)
    """Archives downloaded by hand: file name -> the folder, relative to the root, to unpack it in."""
